"""The OCR2Aggregator contract as bytes: its views, events, reports and its transmit call. What is decoded is untrusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import abi
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from loop_plugin import sorted_as_go

MAX_ORACLES = 31
"""The contract names observers in 32 bytes and has at most 31 oracles."""
NO_ADDRESS = "is not an address, which is 0x and 40 hexadecimal digits"
PRIME = 2**256 - 2**32 - 977
"""The prime of secp256k1's field."""
LEAST, MOST = -(1 << 191), (1 << 191) - 1
"""Solidity's int192."""
DIGEST_PREFIX = 0x0001
REPORT = ("uint32", "bytes32", "int192[]", "int192")
CONFIG_SET = ("uint32", "bytes32", "uint64", "address[]", "address[]", "uint8", "bytes", "uint64", "bytes")
ONCHAIN_CONFIG_VERSION, WIDTH = 1, 24


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


def topic(signature: str) -> str:
    return "0x" + keccak(signature.encode()).hex()


CONFIG_SET_TOPIC = topic(f"ConfigSet({','.join(CONFIG_SET)})")
NEW_TRANSMISSION = ("int192", "address", "uint32", "int192[]", "bytes", "int192", "bytes32", "uint40")
NEW_TRANSMISSION_TOPIC = topic(f"NewTransmission(uint32,{','.join(NEW_TRANSMISSION)})")
ROUND_REQUESTED_TOPIC = topic("RoundRequested(address,bytes32,uint32,uint8)")
VIEWS = {
    "latestConfigDetails": ("uint32", "uint32", "bytes32"),
    "latestTransmissionDetails": ("bytes32", "uint32", "uint8", "int192", "uint64"),
    "latestConfigDigestAndEpoch": ("bool", "bytes32", "uint32"),
}


class FormatError(ValueError):
    """Why bytes or values are not the contract's, in a sentence."""


def view(contract: str, name: str) -> tuple[str, list[Any]]:
    """The call of a view without arguments."""
    return "eth_call", [{"to": contract, "data": "0x" + selector(name + "()").hex()}, "latest"]


def unhex(data: str) -> bytes:
    """The bytes that a node's answer holds."""
    try:
        return bytes.fromhex(data.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise FormatError("the answer is not hexadecimal") from None


def decode(types: Sequence[str], encoded: bytes) -> tuple[Any, ...]:
    try:
        return abi.decode(types, encoded)
    except (DecodingError, ValueError, OverflowError, UnicodeDecodeError):
        raise FormatError(f"the {len(encoded)} bytes are not {', '.join(types)}") from None


def parse_view(name: str, output: str) -> tuple[Any, ...]:
    try:
        return decode(VIEWS[name], unhex(output))
    except FormatError:
        raise FormatError(f"the contract's answer to {name} cannot be read; check that it is an OCR2 aggregator") from None


@dataclass(frozen=True)
class ContractConfig:
    """OCR2's configuration as the contract holds it."""

    digest: bytes
    count: int
    signers: tuple[str, ...]
    transmitters: tuple[str, ...]
    f: int
    onchain_config: bytes
    offchain_version: int
    offchain_config: bytes


def parse_config_set(data: str) -> ContractConfig:
    _, digest, count, signers, transmitters, f, onchain, version, offchain = decode(CONFIG_SET, unhex(data))
    return ContractConfig(digest, count, tuple(signers), tuple(transmitters), f, onchain, version, offchain)


def parse_round_requested(data: str) -> tuple[bytes, int, int]:
    """Digest, epoch and round."""
    digest, epoch, number = decode(("bytes32", "uint32", "uint8"), unhex(data))
    return digest, epoch, number


def parse_new_transmission(data: str) -> tuple[bytes, int, int, str]:
    """Digest, epoch, round and transmitter."""
    _, transmitter, _, _, _, _, digest, at = decode(NEW_TRANSMISSION, unhex(data))
    return digest, at >> 8, at & 0xFF, address(transmitter)


def config_digest(chain_id: int, contract: str, config: ContractConfig) -> bytes:
    """The digest that the contract computes of a configuration."""
    fields = ("uint256", "address", "uint64", "address[]", "address[]", "uint8", "bytes", "uint64", "bytes")
    encoded = abi.encode(
        fields,
        (
            chain_id,
            contract,
            config.count,
            config.signers,
            config.transmitters,
            config.f,
            config.onchain_config,
            config.offchain_version,
            config.offchain_config,
        ),
    )
    return DIGEST_PREFIX.to_bytes(2, "big") + keccak(encoded)[2:]


@dataclass(frozen=True)
class Observation:
    """What one oracle observed."""

    timestamp: int
    value: int
    juels_per_fee_coin: int
    observer: int


def build_report(observations: Sequence[Observation]) -> bytes:
    """The report that oracles sign: medians of time and fee price, and all values in order with their observers."""
    middle = len(observations) // 2
    # Each sort begins where the one before ended, as in libocr: equal values must come out in its order.
    by = sorted_as_go(list(observations), key=lambda o: o.timestamp)
    timestamp = by[middle].timestamp
    by = sorted_as_go(by, key=lambda o: o.juels_per_fee_coin)
    juels = by[middle].juels_per_fee_coin
    by = sorted_as_go(by, key=lambda o: o.value)
    observers = bytes(o.observer for o in by).ljust(32, b"\0")
    return abi.encode(REPORT, (timestamp, observers, [o.value for o in by], juels))


def median_from_report(report: bytes) -> int:
    _, _, observations, _ = decode(REPORT, report)
    if not observations:
        raise FormatError("the report holds no observations")
    return int(observations[len(observations) // 2])


def max_report_length(oracles: int) -> int:
    return 32 + 32 + (2 * 32 + oracles * 32) + 32


def encode_onchain_config(least: int, most: int) -> bytes:
    if least > most:
        raise FormatError("config.min: it must not be above config.max")
    for name, value in (("min", least), ("max", most)):
        if not LEAST <= value <= MOST:
            raise FormatError(f"config.{name}: the contract holds signed integers of 192 bits")
    return bytes([ONCHAIN_CONFIG_VERSION]) + b"".join(v.to_bytes(WIDTH, "big", signed=True) for v in (least, most))


def decode_onchain_config(encoded: bytes) -> tuple[int, int]:
    if len(encoded) != 1 + 2 * WIDTH:
        raise FormatError(f"encoded: it has {len(encoded)} bytes; it must have {1 + 2 * WIDTH}")
    if encoded[0] != ONCHAIN_CONFIG_VERSION:
        raise FormatError(f"encoded: its version is {encoded[0]}; it must be {ONCHAIN_CONFIG_VERSION}")
    least = int.from_bytes(encoded[1 : 1 + WIDTH], "big", signed=True)
    most = int.from_bytes(encoded[1 + WIDTH :], "big", signed=True)
    if least > most:
        raise FormatError("encoded: its least answer is above its largest")
    return least, most


def transmit(digest: bytes, epoch: int, number: int, extra: bytes, report: bytes, signatures: Sequence[bytes]) -> bytes:
    """The input of the call that transmits a report. Each signature is r, s and v (0 or 1) in 65 bytes."""
    if not 1 <= len(signatures) <= MAX_ORACLES:
        raise FormatError(f"signatures: the contract takes 1 to {MAX_ORACLES}, got {len(signatures)}")
    for i, signature in enumerate(signatures):
        if len(signature) != 65 or signature[64] > 1:
            raise FormatError(f"signatures[{i}]: it must be r, s and v (0 or 1) in 65 bytes, got {len(signature)} bytes")
    median_from_report(report)
    context = [digest, (epoch << 8 | number).to_bytes(32, "big"), extra]
    arguments = (
        context,
        report,
        [s[:32] for s in signatures],
        [s[32:64] for s in signatures],
        bytes(s[64] for s in signatures).ljust(32, b"\0"),
    )
    types = ("bytes32[3]", "bytes", "bytes32[]", "bytes32[]", "bytes32")
    return selector(f"transmit({','.join(types)})") + abi.encode(types, arguments)


def address(text: str) -> str:
    """An address as the contract's configuration has it, whatever the letters' case. Jobs may omit its 0x."""
    match = re.fullmatch("(?:0[xX])?([0-9a-fA-F]{40})", text)
    if match is None:
        raise FormatError(f'"{text}" {NO_ADDRESS}')
    return to_checksum_address("0x" + match[1])


def account(public_key: bytes) -> str:
    """The address of a key: a point of secp256k1 in 65 bytes."""
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    if len(public_key) != 65 or public_key[0] != 4 or x >= PRIME or y >= PRIME or (y * y - x**3 - 7) % PRIME:
        raise FormatError(f"want a point of secp256k1 in 65 bytes, got {len(public_key)} that are none")
    return to_checksum_address(keccak(public_key[1:])[-20:])


def report_hash(digest: bytes, epoch: int, number: int, extra: bytes, report: bytes) -> bytes:
    """What oracles sign of a report, whatever it holds."""
    return keccak(keccak(report) + digest + (epoch << 8 | number).to_bytes(32, "big") + extra)
