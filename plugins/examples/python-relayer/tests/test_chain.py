"""What a follower reads of a chain."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from loop_plugin import end
from loop_relayer_python.chain import Contract, Follower, Head
from loop_relayer_python.config import Config, NodeConfig
from loop_relayer_python.node import NodeError, Nodes


class Chain:
    """Nodes without events, which note the blocks that they are asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def call(self, method: str, *params: Any) -> Any:
        if method != "eth_getLogs":
            raise NodeError("a: down")
        self.asked.append((params[0]["fromBlock"], params[0]["toBlock"]))
        return []


@pytest.mark.parametrize(
    ("scanned", "first"),
    [(None, "0x5e"), (-1, "0x0"), (0, "0x1"), (99, "0x64")],
    ids=["the depth at first", "from the first block on", "from the second", "the newest"],
)
async def test_scan(scanned: int | None, first: str) -> None:
    chain = Chain()
    config = Config(1337, True, (NodeConfig("a", "http://h"),), 1, 10, 6, 1, 1, 1)
    follower = Follower(config, cast(Nodes, cast(Any, chain)), lambda *_: None, logging.getLogger("test"))
    await end(follower.task)
    contract = Contract("0x00000000000000000000000000000000000000C0", scanned=scanned)
    await follower.scan(contract, Head(100, bytes(32), 0))
    assert chain.asked == [(first, "0x64")] and contract.scanned == 100
    await follower.scan(contract, Head(100, bytes(32), 0))
    assert len(chain.asked) == 1
