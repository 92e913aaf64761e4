"""The queue loses nothing that it has taken, and sends nothing twice, even if processes end in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from eth_hash.auto import keccak

from loop_contract.hostservice.v1 import keystore_pb2, store_pb2
from loop_contract.hostservice.v1.keystore_loop import KeystoreServiceStub
from loop_contract.hostservice.v1.store_loop import StoreServiceStub
from loop_plugin import Code, RpcError
from loop_relayer_python.config import Config, NodeConfig
from loop_relayer_python.node import NodeError, Nodes, Refused
from loop_relayer_python.queue import Item, Queue

ACCOUNT = "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb"
CONTRACT = "0x00000000000000000000000000000000000000C0"
CONFIG = Config(1337, True, (NodeConfig("a", "http://h"),), 0.01, 1, 1000, 500_000, 100 * 10**9, 10**9)
# Made by go-ethereum with the key 7 for nonce 5 of this call.
HASH = "17a943263be4a3e8bb268e1e1b829b0c70f47b5e0fab84f0bb33b79f99bad576"
SIGNATURE = (
    "c0a0f2235ee2b3a60c136ecbb82b14bb4bba4ccb99e937a4508fb8013b9b040b"
    "275bb24436a5298057f3f9d473c834c259951971547028539376dba89fc2ee9301"
)
RAW = (
    "0x02f87182053905843b9aca0085174876e8008307a1209400000000000000000000000000000000000000c08083010203c001a0"
    "c0a0f2235ee2b3a60c136ecbb82b14bb4bba4ccb99e937a4508fb8013b9b040ba0"
    "275bb24436a5298057f3f9d473c834c259951971547028539376dba89fc2ee93"
)


class World:
    """A chain, a store and a keystore."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[bytes, int]] = {}
        self.mined: dict[str, str] = {}  # status by hash
        self.sent: list[str] = []
        self.signed: list[str] = []
        self.nonce = 5
        self.mining = True
        self.down = False
        self.accepted = (0, 0)
        self.mines = (0, 0)  # what the contract accepts with the next transaction

    def __getattr__(self, name: str) -> Any:
        if name == "list":  # which, as a method, would hide the type from the other annotations
            return self.entries
        raise AttributeError(name)

    async def put(self, request: store_pb2.PutRequest) -> store_pb2.PutResponse:
        _, version = self.values.get(request.key, (b"", 0))
        if version != request.expected_version:
            raise RpcError(Code.ABORTED, "another version")
        self.values[request.key] = (request.value, version + 1)
        return store_pb2.PutResponse(version=version + 1)

    async def delete(self, request: store_pb2.DeleteRequest) -> store_pb2.DeleteResponse:
        self.values.pop(request.key, None)
        return store_pb2.DeleteResponse()

    async def entries(self, request: store_pb2.ListRequest) -> store_pb2.ListResponse:
        keys = sorted(k for k in self.values if k.startswith(request.prefix) and k > request.page_token)
        entries = [store_pb2.Entry(key=k, value=self.values[k][0], version=self.values[k][1]) for k in keys[:1]]
        return store_pb2.ListResponse(entries=entries, next_page_token=keys[0] if len(keys) > 1 else "")

    async def sign(self, request: keystore_pb2.SignRequest) -> keystore_pb2.SignResponse:
        self.signed.append(request.data.hex())
        return keystore_pb2.SignResponse(signature=bytes.fromhex(SIGNATURE))

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]

    async def call(self, method: str, *params: Any) -> Any:
        await asyncio.sleep(0)
        if self.down:
            raise NodeError("a: down")
        if method == "eth_getTransactionCount":
            return hex(self.nonce)
        if method == "eth_getTransactionReceipt":
            return {"status": self.mined[params[0]]} if params[0] in self.mined else None
        assert method == "eth_sendRawTransaction"
        assert any(params[0] in value.decode() for value, _ in self.values.values()), "sent before it was stored"
        if params[0] in self.sent:
            raise Refused("already known")
        self.sent.append(params[0])
        if self.mining:
            self.mine()
        return "a hash"

    def mine(self) -> None:
        self.nonce += 1
        self.mined["0x" + keccak(bytes.fromhex(self.sent[-1][2:])).hex()] = "0x1"
        self.accepted = self.mines

    async def stale(self, item: Item) -> bool:
        return (item.epoch, item.round) <= self.accepted

    def queue(self) -> Queue:
        fake = cast(Any, self)
        return Queue(
            ACCOUNT, CONFIG, cast(Nodes, fake), cast(KeystoreServiceStub, fake), cast(StoreServiceStub, fake),
            self.stale, logging.getLogger("test"),
        )  # fmt: skip


def item(epoch: int = 1, number: int = 1) -> Item:
    return Item(ACCOUNT, CONTRACT, "00" * 32, epoch, number, "010203", 500_000)


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    yield World()


async def test_a_transmission(world: World) -> None:
    queue = world.queue()
    await queue.add(item())
    await queue.add(item())
    await until(lambda: not world.values)
    assert world.sent == [RAW] and world.signed == [HASH]
    await queue.close()


async def test_it_goes_on_after_a_death(world: World) -> None:
    world.mining = False
    first = world.queue()
    await first.add(item())
    await until(lambda: world.sent)
    await first.close()
    second = world.queue()
    await asyncio.sleep(0.05)
    await second.add(item())  # the host repeats what had no answer
    world.mine()
    await until(lambda: not world.values)
    assert world.sent == [RAW] and len(world.signed) == 1, "it was signed or sent twice"
    await second.close()


async def test_it_is_stored_before_it_answers(world: World) -> None:
    world.down = True
    queue = world.queue()
    await queue.add(item())
    assert len(world.values) == 1
    await asyncio.sleep(0.05)
    world.down = False
    await until(lambda: not world.values)
    assert world.sent == [RAW]
    await queue.close()


async def test_stale_reports_are_not_sent(world: World) -> None:
    world.accepted = (1, 2)
    queue = world.queue()
    await queue.add(item(1, 2))
    await until(lambda: not world.values)
    assert not world.sent
    await queue.close()


async def test_the_newest_outruns(world: World) -> None:
    world.down = True
    queue = world.queue()
    world.mines = (1, 3)
    for number in (1, 3, 2):
        await queue.add(item(1, number))
    world.down = False
    await until(lambda: not world.values)
    assert len(world.sent) == 1
    await queue.close()


@pytest.mark.parametrize("taken", [False, True])
async def test_a_transaction_that_the_store_fails_to_take(world: World, taken: bool) -> None:
    """World holds that it is stored before it is sent."""
    put = world.put
    failures = 0

    async def failing(request: store_pb2.PutRequest) -> store_pb2.PutResponse:
        nonlocal failures
        if request.expected_version == 0 or failures == 2:
            return await put(request)
        failures += 1
        if taken and failures == 1:
            await put(request)
        raise RpcError(Code.UNAVAILABLE, "the host is gone")

    world.put = failing  # type: ignore[method-assign]
    queue = world.queue()
    await queue.add(item())
    await until(lambda: not world.values)
    assert failures == 2 and world.sent == [RAW]
    await queue.close()


async def test_a_nonce_that_went_to_another(world: World) -> None:
    world.mining = False
    queue = world.queue()
    await queue.add(item())
    await until(lambda: world.sent)
    world.nonce = 9
    await until(lambda: len(world.sent) == 2)
    world.mine()
    await until(lambda: not world.values)
    await queue.close()
