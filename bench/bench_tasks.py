"""The tasks that the benchmarks drain; `noop` is imported by our worker and by the original PyQS alike."""

import os
import time


def noop() -> None:
    """Do nothing: what is left is the queue's own cost."""


def swallow(text: str) -> None:
    """Take a long argument."""


def rest(seconds: float) -> None:
    """Wait, with the interpreter's lock given back."""
    time.sleep(seconds)


def spin(steps: float) -> None:
    """Keep a processor busy."""
    for _ in range(int(steps)):
        pass


def stamp(sent: float) -> None:
    """Write down how long ago it was sent, in seconds."""
    line = f"{time.time() - sent:.6f}\n".encode()
    file = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)


async def nap(seconds: float) -> None:
    """Wait on the event loop."""
    import asyncio  # the original has no use for it

    await asyncio.sleep(seconds)
