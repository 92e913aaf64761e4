"""Sends transactions of one account, one at a time, and loses none that it has taken.

An item is in the host's Store before add returns, and its signed transaction before that is sent. Whatever ends in between,
the next generation finds either an item that was never sent or the transaction that may have been, and goes on from there.
Fees are not raised: a transaction that the chain does not take waits until it does.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import rlp
from eth_hash.auto import keccak

from loop_contract.hostservice.v1 import keystore_pb2, store_pb2
from loop_contract.hostservice.v1.keystore_loop import KeystoreServiceStub
from loop_contract.hostservice.v1.store_loop import StoreServiceStub
from loop_plugin import Code, RpcError, end, start
from loop_relayer_python.config import Config
from loop_relayer_python.node import NodeError, Nodes, Refused

PREFIX = "python/"
# Polls after which a transaction without a receipt is sent again: nodes forget what they hold when they restart.
RESEND = 20


@dataclass
class Item:
    """A report on its way. Its place in the order of reports is (digest, epoch, round)."""

    account: str
    contract: str
    digest: str
    epoch: int
    round: int
    data: str
    gas: int
    # Of its signed transaction; empty before there is one.
    hash: str = ""
    raw: str = ""
    nonce: int = 0

    def key(self) -> str:
        return f"{PREFIX}{self.account}/{self.contract}/{self.digest}/{self.epoch:08x}{self.round:02x}"


class Queue:
    """The queue of one account. stale reports whether the contract would refuse an item; it may raise NodeError."""

    def __init__(
        self,
        account: str,
        config: Config,
        nodes: Nodes,
        keystore: KeystoreServiceStub,
        store: StoreServiceStub,
        stale: Callable[[Item], Awaitable[bool]],
        logger: logging.Logger,
    ) -> None:
        self.account, self.config, self.nodes = account, config, nodes
        self.keystore, self.store, self.stale, self.logger = keystore, store, stale, logger
        self.items: dict[str, tuple[Item, int]] = {}  # by key, with the stored version
        self.wake = asyncio.Event()
        self.sending = asyncio.Lock()  # one transaction at a time, so that the next nonce is the chain's own count
        self.task = start(self.run())

    async def close(self) -> None:
        await end(self.task)

    async def add(self, item: Item) -> None:
        """Take an item over. One that is here already is ignored."""
        if item.key() in self.items:
            return
        value = json.dumps(asdict(item)).encode()
        try:
            put = await self.store.put(store_pb2.PutRequest(key=item.key(), value=value))
        except RpcError as error:
            if error.code is Code.ABORTED:
                return  # stored by an earlier call whose answer was lost, and restored by run
            raise
        self.items[item.key()] = (item, put.version)
        self.wake.set()

    async def run(self) -> None:
        restored = False
        while True:
            self.wake.clear()
            try:
                if not restored:
                    await self.restore()
                    restored = True
                for key in self.next():
                    await self.settle(key)
            except (NodeError, Refused, RpcError) as error:
                if isinstance(error, RpcError) and error.code is Code.ABORTED:
                    # A put whose answer was lost has changed the stored version.
                    self.items.clear()
                    restored = False
                self.logger.warning("a transmission is delayed", extra={"account": self.account, "reason": str(error)})
                await asyncio.sleep(self.config.poll_interval)
            except Exception:
                self.logger.exception("a transmission failed", extra={"account": self.account})
                await asyncio.sleep(1)
            else:
                if not self.items:
                    await self.wake.wait()

    async def restore(self) -> None:
        token = ""
        while True:
            page = await self.store.list(store_pb2.ListRequest(prefix=f"{PREFIX}{self.account}/", page_token=token))
            for entry in page.entries:
                self.items.setdefault(entry.key, (Item(**json.loads(entry.value)), entry.version))
            token = page.next_page_token
            if not token:
                return

    def next(self) -> list[str]:
        """The items to work on: those that may have been sent, or else all, each contract's newest first."""
        sent = [key for key, (item, _) in self.items.items() if item.raw]
        return sent or sorted(self.items, reverse=True)

    async def settle(self, key: str) -> None:
        """Bring one item to its end."""
        item, version = self.items[key]
        async with self.sending:
            if not item.raw:
                if await self.outrun(item) or await self.stale(item):
                    await self.forget(item)
                    return
                item = await self.sign(item)
                stored = await self.store.put(
                    store_pb2.PutRequest(key=key, value=json.dumps(asdict(item)).encode(), expected_version=version)
                )
                self.items[key] = (item, stored.version)
            receipt = await self.send(item)
        if receipt is None:  # another transaction has its nonce: begin again
            item.hash = item.raw = ""
            return
        level = logging.INFO if receipt.get("status") == "0x1" else logging.WARNING
        self.logger.log(level, "a transmission was mined", extra={"hash": item.hash, "status": receipt.get("status")})
        await self.forget(item)

    async def outrun(self, item: Item) -> bool:
        """Whether a newer report for the same contract and configuration waits."""
        return any(
            (other.contract, other.digest) == (item.contract, item.digest)
            and (other.epoch, other.round) > (item.epoch, item.round)
            for other, _ in self.items.values()
        )

    async def forget(self, item: Item) -> None:
        await self.store.delete(store_pb2.DeleteRequest(key=item.key()))
        self.items.pop(item.key(), None)

    async def sign(self, item: Item) -> Item:
        """The item with a signed transaction. It may be sent once it is stored."""
        nonce = int(await self.nodes.call("eth_getTransactionCount", self.account, "latest"), 16)
        hash_, raw = await self.signed(item.contract, 0, bytes.fromhex(item.data), item.gas, nonce)
        return replace(item, nonce=nonce, hash=hash_, raw=raw)

    async def signed(self, to: str, value: int, data: bytes, gas: int, nonce: int) -> tuple[str, str]:
        """Hash and bytes of a signed transaction of EIP-1559. The key stays in the host."""
        config = self.config
        to_bytes = bytes.fromhex(to.removeprefix("0x"))
        fields: list[Any] = [config.chain_id, nonce, config.tip_cap, config.fee_cap, gas, to_bytes, value, data, []]
        unsigned = b"\x02" + rlp.encode(fields)
        answer = await self.keystore.sign(
            keystore_pb2.SignRequest(account=self.account, data=keccak(unsigned), transaction=unsigned)
        )
        r, s, v = answer.signature[:32], answer.signature[32:64], answer.signature[64]
        raw = b"\x02" + rlp.encode([*fields, v, int.from_bytes(r, "big"), int.from_bytes(s, "big")])
        return "0x" + keccak(raw).hex(), "0x" + raw.hex()

    async def send(self, item: Item) -> dict[str, Any] | None:
        """Send an item's transaction until it has a receipt; None: its nonce went to another."""
        polls = 0
        while True:
            if polls % RESEND == 0:
                try:
                    await self.nodes.call("eth_sendRawTransaction", item.raw)
                except Refused as error:  # "already known" is as good as taken, "nonce too low" may mean mined
                    self.logger.debug("a node refuses a transaction", extra={"hash": item.hash, "reason": str(error)})
            receipt, count = await self.nodes.batch(
                [("eth_getTransactionReceipt", [item.hash]), ("eth_getTransactionCount", [self.account, "latest"])]
            )
            if receipt is not None:
                found: dict[str, Any] = receipt
                return found
            if int(count, 16) > item.nonce:
                # Mined between the two answers, or lost to another: ask once more.
                again: dict[str, Any] | None = await self.nodes.call("eth_getTransactionReceipt", item.hash)
                return again
            polls += 1
            await asyncio.sleep(self.config.poll_interval)

    async def transfer(self, to: str, value: int) -> str:
        """Send coins and return the transaction's hash. Nothing is stored: an operator is waiting."""
        async with self.sending:
            count = await self.nodes.call("eth_getTransactionCount", self.account, "pending")
            hash_, raw = await self.signed(to, value, b"", 21_000, int(count, 16))
            await self.nodes.call("eth_sendRawTransaction", raw)
            return hash_
