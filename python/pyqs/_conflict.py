"""The distributions ``pyqs`` (the original) and ``pyqs-rs`` (this one) hold a package of the same name."""

from __future__ import annotations

import os

from .errors import DistributionConflict


def check() -> None:
    """Raise :class:`DistributionConflict` when the original is installed over this package, or this over it.

    Then the files of one are mixed with those of the other, and uninstalling either takes files of both.
    """
    # Imported here: it costs more than the rest of the package, and only a worker's start needs it.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        original = distribution("pyqs")
    except PackageNotFoundError:
        return
    package = os.path.join(os.path.dirname(os.path.realpath(__file__)), "__init__.py")
    if os.path.realpath(str(original.locate_file("pyqs/__init__.py"))) == package:
        raise DistributionConflict(
            f"the distributions pyqs {original.version} and pyqs-rs are installed over each other; keep this one with "
            "`python -m pip uninstall -y pyqs && python -m pip install --force-reinstall pyqs-rs`"
        )
