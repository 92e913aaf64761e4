"""Ending tasks."""

from __future__ import annotations

import asyncio
import contextlib

from loop_plugin import end


async def test_a_task_that_swallows_a_cancellation_ends() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 3:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            swallowed += 1
        await asyncio.sleep(60)

    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError

    for task in (asyncio.create_task(stubborn()), asyncio.create_task(failing())):
        await asyncio.sleep(0)
        await asyncio.wait_for(end(task), 5)
        assert task.done()
    assert swallowed == 3
