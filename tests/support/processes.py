"""Programs as real processes: what they print, how they end, whom they have started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any, Optional

from support.waiting import DEADLINE_SECS, eventually


class Process:
    """A program that runs, in a process group of its own, with the lines that it prints."""

    def __init__(self, argv: list[str], **options: Any) -> None:
        self.argv = argv
        self.popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
            **options,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """What the pattern finds in the lines so far."""
        return list(re.finditer(pattern, self.output, re.MULTILINE))

    def wait_for(self, pattern: str, count: int = 1, deadline_secs: float = DEADLINE_SECS) -> re.Match[str]:
        """Wait until so many lines match the pattern, and return the last of these matches."""

        def found() -> Optional[re.Match[str]]:
            matches = self.matches(pattern)
            if len(matches) < count and self.popen.poll() is not None:
                self._reader.join()
                matches = self.matches(pattern)
                assert len(matches) >= count, f"{self.argv} ended without {pattern!r}:\n{self.output}"
            return matches[count - 1] if len(matches) >= count else None

        try:
            return eventually(found, repr(pattern), deadline_secs)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.argv} printed:\n{self.output}") from None

    def send_signal(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def wait(self, deadline_secs: float = DEADLINE_SECS) -> int:
        """Wait for its end: the exit code."""
        try:
            code = self.popen.wait(deadline_secs)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.argv} does not end; it printed:\n{self.output}") from None
        self._reader.join(DEADLINE_SECS)
        return code

    def stop(self, signum: int = signal.SIGTERM, deadline_secs: float = DEADLINE_SECS) -> int:
        """Ask it to stop and wait for it: the exit code."""
        if self.popen.poll() is None:
            self.send_signal(signum)
        return self.wait(deadline_secs)

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def children(self) -> list[int]:
        """The processes that it has started and that live."""
        return children(self.pid)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line)


def children(pid: int) -> list[int]:
    """The children of a process that live; zombies do not."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return sorted(child for child in found if is_alive(child))


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number that has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def thread_names(pid: int) -> list[str]:
    """The names of a process's threads."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                names.append((thread / "comm").read_text().strip())
    return names


def resident_kib(pid: int) -> int:
    """How much memory a process has in use."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def open_files(pid: int) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def one_line(text: str) -> str:
    """The only line of a text, which is what a person is told when something is wrong."""
    lines = text.splitlines()
    assert len(lines) == 1, f"not one line:\n{text}"
    assert "Traceback" not in text
    assert "panicked" not in text
    return lines[0]
