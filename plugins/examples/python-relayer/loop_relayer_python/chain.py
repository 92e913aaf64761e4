"""Follows one chain: its newest block, and for each contract that a job names, what OCR2 asks about it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loop_plugin import Code, RpcError, end
from loop_relayer_python import aggregator
from loop_relayer_python.config import Config
from loop_relayer_python.node import NodeError, Nodes, Refused

# Seconds after which what was read last is too old to be an answer.
OLDEST = 60
# Blocks of events that one request reads: hosted nodes allow 2,000 and more.
PAGE = 2000


@dataclass(frozen=True)
class Head:
    """A block."""

    number: int
    hash: bytes
    time: int


@dataclass(frozen=True)
class View:
    """What a contract answered when a block was the newest known."""

    head: Head
    config_block: int
    config_digest: bytes
    transmitted_digest: bytes
    epoch: int
    round: int
    answer: int
    transmitted_at: int
    read: float


@dataclass
class Contract:
    """One aggregator, for all providers that share it."""

    address: str
    users: int = 0
    view: View | None = None
    scanned: int | None = None  # the last block whose events were read
    # The round last asked for: digest, epoch, round and the time of its block.
    requested: tuple[bytes, int, int, int] | None = None
    # The newest transmission whose event was read: digest, epoch, round and transmitter.
    sent: tuple[bytes, int, int, str] | None = None
    configs: dict[int, aggregator.ContractConfig] = field(default_factory=dict)
    providers: set[str] = field(default_factory=set)

    def transmitter(self, view: View) -> str:
        """The sender of the report that the contract shows; empty until its event was read."""
        if self.sent is None or self.sent[:3] != (view.transmitted_digest, view.epoch, view.round):
            return ""
        return self.sent[3]

    def latest(self) -> View:
        if self.view is None:
            raise RpcError(Code.UNAVAILABLE, f"the chain has not answered for contract {self.address} yet")
        if time.monotonic() - self.view.read > OLDEST:
            raise RpcError(Code.UNAVAILABLE, f"the chain has not answered for contract {self.address} for {OLDEST} s")
        return self.view


class Follower:
    """Polls a chain. changed gets a provider's name and the block and digest of its configuration."""

    def __init__(
        self, config: Config, nodes: Nodes, changed: Callable[[str, int, bytes], None], logger: logging.Logger
    ) -> None:
        self.config, self.nodes, self.changed, self.logger = config, nodes, changed, logger
        self.head: Head | None = None
        self.contracts: dict[str, Contract] = {}
        self.nudged = asyncio.Event()
        self.failing = False
        self.task = asyncio.create_task(self.run())

    async def close(self) -> None:
        await end(self.task)

    def acquire(self, address: str, provider: str) -> Contract:
        contract = self.contracts.setdefault(address, Contract(address))
        contract.users += 1
        contract.providers.add(provider)
        if contract.view is not None:
            self.changed(provider, contract.view.config_block, contract.view.config_digest)
        self.nudged.set()
        return contract

    def release(self, contract: Contract, provider: str) -> None:
        contract.users -= 1
        contract.providers.discard(provider)
        if contract.users == 0:
            self.contracts.pop(contract.address, None)

    async def run(self) -> None:
        while True:
            self.nudged.clear()
            try:
                await self.poll()
                if self.failing:
                    self.logger.info("the chain answers again", extra={"chain": self.config.chain_id})
                self.failing = False
            except (NodeError, Refused, aggregator.FormatError) as error:
                if not self.failing:  # once, not at every poll
                    self.logger.warning(
                        "the chain does not answer", extra={"chain": self.config.chain_id, "reason": str(error)}
                    )
                self.failing = True
            except Exception:
                self.logger.exception("polling the chain failed", extra={"chain": self.config.chain_id})
            try:
                await asyncio.wait_for(self.nudged.wait(), self.config.poll_interval)
            except asyncio.TimeoutError:
                continue

    async def poll(self) -> None:
        """Read the newest block, and all contracts if it is new."""
        block = await self.nodes.call("eth_getBlockByNumber", "latest", False)
        head = Head(int(block["number"], 16), bytes.fromhex(block["hash"][2:]), int(block["timestamp"], 16))
        self.nodes.saw(head.number)
        fresh = self.head is None or self.head.hash != head.hash
        self.head = head
        for contract in list(self.contracts.values()):
            if fresh or contract.view is None:
                await self.read(contract, head)
            else:
                contract.view = View(**{**vars(contract.view), "read": time.monotonic()})

    async def read(self, contract: Contract, head: Head) -> None:
        calls = [aggregator.view(contract.address, name) for name in aggregator.VIEWS]
        details, transmission, _ = await self.nodes.batch(calls)
        _, block, digest = aggregator.parse_view("latestConfigDetails", details)
        transmitted, epoch, number, answer, at = aggregator.parse_view("latestTransmissionDetails", transmission)
        await self.scan(contract, head)
        before = contract.view
        contract.view = View(head, block, digest, transmitted, epoch, number, answer, at, time.monotonic())
        if before is None or (before.config_block, before.config_digest) != (block, digest):
            for provider in contract.providers:
                self.changed(provider, block, digest)

    async def scan(self, contract: Contract, head: Head) -> None:
        """Read which rounds were asked for and who transmitted since the last scan."""
        oldest = max(0, head.number - self.config.log_backfill_depth)
        first = oldest if contract.scanned is None else contract.scanned + 1
        while first <= head.number:
            last = min(first + PAGE - 1, head.number)
            topics = (aggregator.ROUND_REQUESTED_TOPIC, aggregator.NEW_TRANSMISSION_TOPIC)
            for log in await self.logs(contract, topics, first, last):
                if log["topics"][0] == aggregator.NEW_TRANSMISSION_TOPIC:
                    contract.sent = aggregator.parse_new_transmission(log["data"])
                    continue
                digest, epoch, number = aggregator.parse_round_requested(log["data"])
                block = await self.nodes.call("eth_getBlockByNumber", log["blockNumber"], False)
                contract.requested = (digest, epoch, number, int(block["timestamp"], 16))
            contract.scanned = last
            first = last + 1

    async def logs(self, contract: Contract, topics: tuple[str, ...], first: int, last: int) -> list[dict[str, Any]]:
        wanted = {"address": contract.address, "topics": [topics], "fromBlock": hex(first), "toBlock": hex(last)}
        logs: list[dict[str, Any]] = await self.nodes.call("eth_getLogs", wanted)
        return logs

    async def config_at(self, contract: Contract, block: int) -> aggregator.ContractConfig:
        """The configuration that was set in a block. It never changes, so the last one is kept. Raises RpcError."""
        if block not in contract.configs:
            try:
                logs = await self.logs(contract, (aggregator.CONFIG_SET_TOPIC,), block, block)
                if not logs:
                    message = f"the contract {contract.address} set no configuration in block {block}"
                    raise RpcError(Code.NOT_FOUND, message)
                config = aggregator.parse_config_set(logs[-1]["data"])
            except (NodeError, Refused, aggregator.FormatError) as error:
                raise RpcError(Code.UNAVAILABLE, f"reading the configuration of block {block}: {error}") from None
            if aggregator.config_digest(self.config.chain_id, contract.address, config) != config.digest:
                message = f"a node answered with a configuration of block {block} whose digest is not that of its content"
                raise RpcError(Code.UNAVAILABLE, message)
            contract.configs = {block: config}
        return contract.configs[block]
