"""What the worker runs: ``pyqs``, whose options are in ``pyproject.toml``."""

import asyncio

import store
from pyqs import task
from settings import QUEUE


@task(queue=QUEUE, retries=3)
async def ship(order: int, express: bool = False):
    """Many of these run at once, on one event loop: as many as `threads` says."""
    await asyncio.sleep(0.1)  # as a call of the carrier's API would
    await asyncio.to_thread(store.set_state, order, "sent by express" if express else "sent")
