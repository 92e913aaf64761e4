"""A chain's section of the node's configuration. Errors name keys, never values: addresses hold keys."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any

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
    """A section that cannot be used, in a sentence."""


@dataclass(frozen=True)
class NodeConfig:
    """An RPC node. This relayer polls over HTTP; a WSURL is accepted beside it and not used."""

    name: str
    http_url: str = field(repr=False)


@dataclass(frozen=True)
class Config:
    """What a user sets of one chain. Times are seconds, fees wei per gas."""

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


def parse(document: bytes) -> Config:
    """Read a section. Raises ConfigError."""
    try:
        section = tomllib.loads(document.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError("the section is no TOML that can be read; check its syntax") from None
    chain_id = _take(section, "ChainID", str, "")
    if not chain_id.isascii() or not chain_id.isdigit() or not 0 < int(chain_id) < 1 << 64:
        raise ConfigError("ChainID must be a decimal number from 1 to 2^64-1")
    enabled = _take(section, "Enabled", bool, True)
    config = Config(
        chain_id=int(chain_id),
        enabled=enabled,
        nodes=tuple(_node(i, node) for i, node in enumerate(_take(section, "Nodes", list, []))),
        poll_interval=_seconds(section, "PollInterval", "250ms"),
        request_timeout=_seconds(section, "RequestTimeout", "10s"),
        log_backfill_depth=_count(section, "LogBackfillDepth", 1000),
        gas_limit=_count(section, "GasLimitDefault", 500_000),
        fee_cap=_wei(section, "FeeCapDefault", "100 gwei"),
        tip_cap=_wei(section, "TipCapDefault", "1 gwei"),
    )
    for key in UNUSED:
        section.pop(key, None)
    if section:
        raise ConfigError(f"the key {sorted(section)[0]} is not known to this relayer; remove it or correct its spelling")
    if enabled and not config.nodes:
        raise ConfigError("Nodes must hold at least one node")
    if config.gas_limit < 21_000:
        raise ConfigError("GasLimitDefault must be at least 21000")
    if config.tip_cap > config.fee_cap:
        raise ConfigError("TipCapDefault must not be above FeeCapDefault")
    return config


def _take(section: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = section.pop(key, default)
    if not isinstance(value, kind):
        raise ConfigError(f"the value of {key} cannot be read; check its type and its quotes")
    return value


def _node(i: int, section: Any) -> NodeConfig:
    if not isinstance(section, dict):
        raise ConfigError(f"Nodes[{i}] must be a table")
    section = dict(section)
    name, url = _take(section, "Name", str, ""), _take(section, "HTTPURL", str, "")
    _take(section, "WSURL", str, "")
    if section:
        raise ConfigError(f"the key Nodes[{i}].{sorted(section)[0]} is not known to this relayer")
    if not name:
        raise ConfigError(f"Nodes[{i}].Name must not be empty")
    if not re.match(r"https?://[^/]", url):
        raise ConfigError(f"Nodes[{i}].HTTPURL must be an http:// or https:// address")
    return NodeConfig(name, url)


def _count(section: dict[str, Any], key: str, default: int) -> int:
    value: int = _take(section, key, int, default)
    if value < 0:
        raise ConfigError(f"{key} must not be negative")
    return value


def _seconds(section: dict[str, Any], key: str, default: str) -> float:
    text: str = _take(section, key, str, default)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(f"{key} cannot be read; write it as in 500ms or 1m30s")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if seconds < 0.01:
        raise ConfigError(f"{key} must be at least 10ms")
    return seconds


def _wei(section: dict[str, Any], key: str, default: str) -> int:
    match = re.fullmatch(r"\s*(\d+)\s*(wei|gwei|ether|)\s*", str(section.pop(key, default)).lower())
    if match is None:
        raise ConfigError(f"{key} cannot be read; write it as in 100 gwei or 1000000000")
    return int(match[1]) * WEI.get(match[2], 1)
