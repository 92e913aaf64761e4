"""Ending tasks."""

from __future__ import annotations

import asyncio
from typing import Any

# Seconds after which a task that was cancelled and goes on is cancelled again.
AGAIN = 0.05


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end: what a close method does with what its object has started.

    A single cancel is not enough for a task that loops: libraries and, before Python 3.12, asyncio.wait_for lose one that
    arrives together with what they wait for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN)
    if not task.cancelled():
        task.exception()  # read, so that asyncio does not report it once more
