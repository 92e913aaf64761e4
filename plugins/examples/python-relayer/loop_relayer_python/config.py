"""A chain's section of the node's configuration. Errors name keys, never values: addresses hold keys."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
WEI = {"gwei": 10**9, "ether": 10**18, "wei": 1}

# Keys of the node's reference configuration that this relayer has no use for: it raises no fees, asks one node after the
# other, and its batches are small.
UNUSED = (
    "FinalityDepth",
    "FinalityTagEnabled",
    "FinalizedBlockOffset",
    "FeeCapMax",
    "FeeBumpThreshold",
    "FeeBumpPercent",
    "LogBackfillBatchSize",
    "LogPollInterval",
    "NoNewHeadsThreshold",
    "NodePool",
    "RPCDefaultBatchSize",
)


class ConfigError(ValueError):
    """Why a section cannot be used: all that is wrong with it, in a sentence."""


Problem = tuple[str, str]
"""The path of a key, and a sentence that can follow it and a colon."""


@dataclass(frozen=True)
class NodeConfig:
    """An RPC node. This relayer polls over HTTP; a WSURL is accepted beside it and not used."""

    name: str
    http_url: str = field(repr=False)


@dataclass(frozen=True)
class Config:
    """What an operator sets for one chain. Times are in seconds, fees in wei per gas."""

    chain_id: int
    enabled: bool
    nodes: tuple[NodeConfig, ...]
    poll_interval: float
    request_timeout: float
    log_backfill_depth: int
    gas_limit: int
    fee_cap: int
    tip_cap: int

    def redacted(self) -> str:
        """The section in force as TOML, without addresses."""
        lines = [
            f'ChainID = "{self.chain_id}"',
            f"Enabled = {str(self.enabled).lower()}",
            f'PollInterval = "{round(self.poll_interval * 1000)}ms"',
            f'RequestTimeout = "{round(self.request_timeout * 1000)}ms"',
            f"LogBackfillDepth = {self.log_backfill_depth}",
            f"GasLimitDefault = {self.gas_limit}",
            f'FeeCapDefault = "{self.fee_cap} wei"',
            f'TipCapDefault = "{self.tip_cap} wei"',
        ]
        for node in self.nodes:
            lines += ["", "[[Nodes]]", f"Name = '{node.name}'", 'HTTPURL = "[redacted]"']
        return "\n".join(lines) + "\n"


REFERENCE = """\
# The chain's number in decimal. Required.
ChainID = '1'
# false keeps the section but connects to nothing.
Enabled = true
# How often a node is asked for the newest block, and contracts are read.
PollInterval = '250ms'
# Longest wait for one answer of a node.
RequestTimeout = '10s'
# How many blocks back events are read when a contract is first followed.
LogBackfillDepth = 1000
# Gas limit of a transmission whose job names none.
GasLimitDefault = 500000
# Most that is paid per gas, and the tip in it.
FeeCapDefault = '100 gwei'
TipCapDefault = '1 gwei'

[[Nodes]]
# Name in logs and in the list of nodes. Required.
Name = 'primary'
# Address of its JSON-RPC. Required.
HTTPURL = 'http://127.0.0.1:8545'
"""
"""A section with every key, its default and what it means."""


def parse(document: bytes) -> Config:
    """Read a section. Raises ConfigError."""
    config, problems, _ = read(document)
    if problems:
        raise ConfigError("; ".join(f"{path}: {message}" if path else message for path, message in problems))
    return config


def read(document: bytes) -> tuple[Config, list[Problem], list[Problem]]:
    """The section, all that is wrong with it, and what an operator should know. One with a problem must not be used."""
    problems: list[Problem] = []
    try:
        tables = tomllib.loads(document.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        problems.append(("", "the section is not TOML that can be read; check its syntax"))
        tables = {}
    section = Table(tables, "", problems)
    chain_id = section.text("ChainID", "")
    number = int(chain_id) if chain_id.isascii() and chain_id.isdigit() and len(chain_id) <= 20 else 0
    if not 0 < number < 1 << 64:
        section.problem("ChainID", "must be a decimal number from 1 to 2^64-1")
    config = Config(
        chain_id=number,
        enabled=section.take("Enabled", bool, True),
        nodes=tuple(_node(node) for node in section.tables("Nodes")),
        poll_interval=section.seconds("PollInterval", "250ms"),
        request_timeout=section.seconds("RequestTimeout", "10s"),
        log_backfill_depth=section.count("LogBackfillDepth", 1000),
        gas_limit=section.count("GasLimitDefault", 500_000),
        fee_cap=section.wei("FeeCapDefault", "100 gwei"),
        tip_cap=section.wei("TipCapDefault", "1 gwei"),
    )
    warnings = [(key, "this relayer has no use for the key; it has no effect here") for key in UNUSED if section.drop(key)]
    section.drop("Accounts")  # the host's: which accounts it lends
    section.end()
    if config.enabled and not config.nodes:
        section.problem("Nodes", "must hold at least one node")
    if config.gas_limit < 21_000:
        section.problem("GasLimitDefault", "must be at least 21000")
    if config.tip_cap > config.fee_cap:
        section.problem("TipCapDefault", "must not be above FeeCapDefault")
    return config, problems[:1] if not tables and problems else problems, warnings


def _node(section: Table) -> NodeConfig:
    name, url = section.text("Name", ""), section.text("HTTPURL", "")
    section.text("WSURL", "")
    section.end()
    if not name:
        section.problem("Name", "must not be empty")
    if not re.match(r"https?://[^/]", url):
        section.problem("HTTPURL", "must be an http:// or https:// address")
    return NodeConfig(name, url)


T = TypeVar("T")


class Table:
    """A table whose keys are taken one by one. A bad value becomes a problem, and the default is used instead."""

    def __init__(self, values: dict[str, Any], path: str, problems: list[Problem]) -> None:
        self.values, self.path, self.problems = dict(values), path, problems

    def problem(self, key: str, message: str) -> None:
        path = self.path + key
        if all(known != path for known, _ in self.problems):
            self.problems.append((path, message))

    def drop(self, key: str) -> bool:
        return self.values.pop(key, None) is not None

    def end(self) -> None:
        """Make a problem of each key that is left."""
        for key in sorted(self.values):
            self.problem(key, "the key is not known to this relayer; remove it or correct its spelling")

    def take(self, key: str, kind: type[T], default: T) -> T:
        value = self.values.pop(key, default)
        if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
            return value
        self.problem(key, "the value cannot be read; check its type and its quotes")
        return default

    def text(self, key: str, default: str) -> str:
        return self.take(key, str, default)

    def tables(self, key: str) -> Iterator[Table]:
        for i, values in enumerate(self.take(key, list, [])):
            if isinstance(values, dict):
                yield Table(values, f"{self.path}{key}[{i}].", self.problems)
            else:
                self.problem(f"{key}[{i}]", "must be a table")

    def count(self, key: str, default: int) -> int:
        value = self.take(key, int, default)
        if value < 0:
            self.problem(key, "must not be negative")
        return value

    def seconds(self, key: str, default: str) -> float:
        text = self.text(key, default)
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.problem(key, "cannot be read; write it as in 500ms or 1m30s")
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
        if seconds < 0.01:
            self.problem(key, "must be at least 10ms")
        return seconds

    def wei(self, key: str, default: str) -> int:
        match = re.fullmatch(r"\s*(\d+)\s*(wei|gwei|ether|)\s*", str(self.values.pop(key, default)).lower())
        if match is None:
            self.problem(key, "cannot be read; write it as in 100 gwei or 1000000000")
            return 0
        return int(match[1]) * WEI.get(match[2], 1)
