"""Tasks that belong to objects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace

from google.protobuf.message import Message

from loop_contract.relayer.v1 import relayer_pb2
from loop_plugin import end, start, time_remaining, wire
from loop_plugin.call import Serving
from loop_plugin.table import Table


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


async def remaining() -> float | None:
    return time_remaining()


async def test_deadlines_are_for_the_time_of_the_call() -> None:
    call = Serving(time.monotonic() + 100)
    wire.serving.set(call)
    within, later = asyncio.create_task(remaining()), start(remaining())
    assert (await within or 0) > 90
    assert await later is None, "a task that goes on has the deadline of the call that started it"
    call.over = True
    assert await asyncio.create_task(remaining()) is None, "a call that has been answered has a deadline"


async def test_what_a_constructor_starts_outlives_its_deadline() -> None:
    made: list[asyncio.Task[float | None]] = []
    constructed = asyncio.Event()

    async def poll() -> float | None:
        await constructed.wait()
        return time_remaining()

    async def construct() -> tuple[object, Message]:
        assert time_remaining() is not None, "a constructor has no deadline"
        made.append(asyncio.create_task(poll()))
        return Root(), relayer_pb2.CreateChainResponse()

    method = wire.method_of("/loop.relayer.v1.RelayerService/CreateChain")
    await Table(logging.getLogger()).create(replace(method, created=()), "a", "", relayer_pb2.CreateChainRequest(), construct)
    constructed.set()
    assert await made[0] is None


class Root:
    """An object that serves nothing."""
