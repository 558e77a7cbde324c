"""Our endpoint with faults that a test begins and ends, as a process that a test stops, kills and starts again."""

from __future__ import annotations

import re
import signal
import urllib.request
from pathlib import Path
from types import TracebackType

from support.endpoints import Endpoint, clean_environment, pyqs_command
from support.processes import Process


class FaultyEndpoint(Endpoint):
    """Our endpoint, on the same port each time that it is started."""

    def __init__(self, folder: Path, *options: str, is_durable: bool = False) -> None:
        self.file = folder / "faults"
        store = ["--data", str(folder / "queues")] if is_durable else ["--memory"]
        self.options = [*store, "--fault-file", str(self.file), *options]
        self.port = "0"
        self.start()

    def start(self) -> None:
        """Start it, again where it was killed."""
        command = [*pyqs_command(), "local", "--port", self.port, *self.options]
        self.process = Process(command, env=clean_environment())
        url = self.process.wait_for(r"AWS_ENDPOINT_URL=(\S+)").group(1)
        self.port = url.rpartition(":")[2]
        super().__init__("pyqs", url)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    def pause(self) -> None:
        """From now on it accepts connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It goes on after a pause."""
        self.process.send_signal(signal.SIGCONT)

    def inject(self, *faults: str) -> None:
        """From now on these faults, and no others."""
        new = self.file.with_suffix(".new")
        new.write_text("\n".join(faults))
        new.replace(self.file)

    def metrics(self) -> str:
        """What it counts."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            return str(answer.read().decode())

    def injected(self, action: str, kind: str) -> int:
        """How many requests of an action, or entries, were hit by a kind of fault so far."""
        return self._counted(f'pyqs_local_faults_total{{action="{action}",kind="{kind}"}}')

    def requests(self, action: str) -> int:
        """How many requests of an action came since it was started."""
        return self._counted(f'pyqs_local_requests_total{{action="{action}"}}')

    def _counted(self, name: str) -> int:
        found = re.search(rf"^{re.escape(name)} (\d+)$", self.metrics(), re.M)
        return int(found[1]) if found else 0

    def __enter__(self) -> FaultyEndpoint:
        return self

    def __exit__(self, *_: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        self.kill()
