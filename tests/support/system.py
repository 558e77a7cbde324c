"""A system whose calendar and host names a test changes while programs run on it."""

from __future__ import annotations

import subprocess
from pathlib import Path


class System:
    """Programs with its ``environment`` see its clock, and its names, which end in ``.test``."""

    def __init__(self, folder: Path) -> None:
        self._clock = folder / "clock"
        self._hosts = folder / "hosts"
        self._refused = folder / "refused"
        library = folder / "system.so"
        source = Path(__file__).with_name("system.c")
        # The compiler that Rust links with.
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "TEST_CLOCK": str(self._clock),
            "TEST_HOSTS": str(self._hosts),
            "TEST_REFUSED": str(self._refused),
        }

    def set_clock(self, ahead_secs: int) -> None:
        """From now on the calendar's clock is so far ahead of the real one, or behind it."""
        _write(self._clock, str(ahead_secs))

    def set_hosts(self, *names: str) -> None:
        """From now on these names are this machine's, and no others resolve."""
        _write(self._hosts, " ".join(names))
        self._refused.unlink(missing_ok=True)

    @property
    def has_refused(self) -> bool:
        """Whether a name was asked for since then that did not resolve."""
        return self._refused.exists()


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
