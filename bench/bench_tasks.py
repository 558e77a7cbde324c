"""The tasks that the benchmarks drain; `noop` is imported by our worker and by the original PyQS alike."""


def noop() -> None:
    """Do nothing: what is left is the queue's own cost."""


async def nap(seconds: float) -> None:
    """Wait on the event loop."""
    import asyncio  # the original has no use for it

    await asyncio.sleep(seconds)
