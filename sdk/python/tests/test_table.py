"""How objects are closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf.message import Message

from loop_contract.relayer.v1 import relayer_pb2
from loop_plugin import wire
from loop_plugin.table import Table

METHOD = replace(wire.method_of("/loop.relayer.v1.RelayerService/CreateChain"), created=())


class Family:
    """A parent with two children, and how often each was closed."""

    def __init__(self) -> None:
        self.table = Table(logging.getLogger())
        self.closed: list[str] = []
        self.all_closed, self.closing, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def make(self, close: Callable[[], None] = lambda: None) -> None:
        for name, parent in (("parent", ""), ("a", "parent"), ("b", "parent")):

            async def construct(name: str = name) -> tuple[object, Message]:
                return Member(self, name, close), relayer_pb2.CreateChainResponse()

            await self.table.create(METHOD, name, parent, relayer_pb2.CreateChainRequest(), construct)


class Member:
    """Its close waits until the test says so."""

    def __init__(self, family: Family, name: str, then: Callable[[], None]) -> None:
        self.family, self.name, self.then = family, name, then

    async def close(self) -> None:
        self.family.closing.set()
        await self.family.go.wait()
        self.family.closed.append(self.name)
        if self.name == "parent":
            self.family.all_closed.set()
        self.then()


async def cancelled(call: asyncio.Task[None]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_closing_goes_on_after_the_deadline_of_a_release() -> None:
    family = Family()
    await family.make()
    releasing = asyncio.create_task(family.table.release(["parent"]))
    await family.closing.wait()
    await cancelled(releasing)
    family.go.set()
    await asyncio.wait_for(family.all_closed.wait(), 10)
    assert sorted(family.closed[:2]) == ["a", "b"] and family.closed[2:] == ["parent"]


async def test_closing_goes_on_after_the_deadline_of_the_last_call() -> None:
    family = Family()
    await family.make()
    family.table.objects["a"].calls += 1
    entry = family.table.objects["a"]
    family.go.set()
    await family.table.release(["parent"])
    assert family.closed == ["b"], "closed under a call"
    family.go.clear()
    family.closing.clear()
    leaving = asyncio.create_task(family.table.leave(entry))
    await family.closing.wait()
    await cancelled(leaving)
    family.go.set()
    await asyncio.wait_for(family.all_closed.wait(), 10)
    assert family.closed == ["b", "a", "parent"]


async def test_the_end_waits_for_what_is_being_closed() -> None:
    family = Family()
    await family.make()
    releasing = asyncio.create_task(family.table.release(["parent"]))
    await family.closing.wait()
    await cancelled(releasing)
    ending = asyncio.create_task(family.table.release_all())
    await asyncio.sleep(0)
    assert not ending.done()
    family.go.set()
    await asyncio.wait_for(ending, 10)
    assert len(family.closed) == 3


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, ValueError])
async def test_a_close_that_fails_keeps_no_other_from_being_closed(error: type[BaseException]) -> None:
    """An author's close may await a task that it has cancelled."""
    family = Family()

    def fail() -> None:
        raise error

    await family.make(fail)
    family.go.set()
    await family.table.release(["parent"])
    assert sorted(family.closed) == ["a", "b", "parent"]
