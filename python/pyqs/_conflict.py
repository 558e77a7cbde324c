"""What stands in for something of the same name, so that a worker can't work.

The distributions ``pyqs`` (the original) and ``pyqs-rs`` (this one) hold a package of the same name; and files in the
current directory may have the name of a module of Python's.
"""

from __future__ import annotations

import os
import sys

from .errors import DistributionConflict, PyqsError

NEEDED = ("contextlib", "gc", "importlib", "inspect", "json", "logging", "selectors", "signal", "socket", "threading")
"""Modules of Python's that the worker imports."""


def check() -> None:
    """Raise :class:`PyqsError` when something stands in for what the worker needs."""
    _check_standard_library()
    _check_distributions()


def _check_standard_library() -> None:
    """``python -m pyqs`` looks for every module in the current directory first."""
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:
        return  # it was deleted
    for name in NEEDED:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.dirname(os.path.realpath(file)) == here:
            raise PyqsError(
                f"{file} stands in for Python's own module {name}; rename it, or start the worker as "
                "`pyqs QUEUE...` instead of `python -m pyqs QUEUE...`"
            )


def _check_distributions() -> None:
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
