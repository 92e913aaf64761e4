"""Tasks that belong to objects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from loop_plugin import wire

T = TypeVar("T")

# Seconds after which a task that was cancelled and goes on is cancelled again.
AGAIN = 0.05


def start(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that goes on after the call that is being served, such as a poller's in a constructor.

    Its calls to the host have the contract's own deadlines. In a task of asyncio.create_task they have that of the call
    that is being served, until that call has ended.
    """
    context = copy_context()
    context.run(wire.serving.set, None)
    return context.run(asyncio.create_task, work)


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
