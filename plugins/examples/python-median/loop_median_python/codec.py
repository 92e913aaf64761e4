"""The bytes that the oracles of a median exchange. What is decoded is untrusted.

The two messages are libocr's (offchainreporting2_median_observation.proto and _config.proto); they have a handful of fields
and are written out here, so that the encoding is the same on every version of protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

WIDTH = 24  # bytes of an integer: Solidity's int192
MAX_OBSERVATION = 4 + 3 * WIDTH + 16
"""libocr's bound of an observation: timestamp, three integers and room for protobuf's tags."""

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
DEEPEST = 10_000  # groups within groups, as Go's protobuf allows them


class DecodeError(ValueError):
    """Bytes that are not such a message."""


@dataclass(frozen=True)
class OffchainConfig:
    """When to report and what to accept. PPB are parts per billion."""

    alpha_report_infinite: bool = False
    alpha_report_ppb: int = 0
    alpha_accept_infinite: bool = False
    alpha_accept_ppb: int = 0
    delta_c: int = 0
    """Nanoseconds after which a report is due, whatever the value does."""


@dataclass(frozen=True)
class Observation:
    """What one oracle observed."""

    timestamp: int
    """Unix time in seconds."""
    value: int
    juels_per_fee_coin: int
    gas_price_subunits: int


def encode_value(value: int) -> bytes:
    """24 bytes, big-endian, two's complement. Raises OverflowError."""
    return value.to_bytes(WIDTH, "big", signed=True)


def decode_value(encoded: bytes) -> int:
    if len(encoded) != WIDTH:
        raise DecodeError(f"an integer has {len(encoded)} bytes; it must have {WIDTH}")
    return int.from_bytes(encoded, "big", signed=True)


def encode_observation(timestamp: int, value: bytes, juels_per_fee_coin: bytes, gas_price_subunits: bytes) -> bytes:
    """The three integers are encoded already; gas_price_subunits may be empty."""
    seconds = timestamp % (1 << 32)  # libocr's field has 32 bits
    encoded = b"\x08" + _varint(seconds) if seconds else b""
    for number, field in ((2, value), (3, juels_per_fee_coin), (4, gas_price_subunits)):
        if field:
            encoded += bytes([number << 3 | BYTES, len(field)]) + field
    return encoded


def decode_observation(encoded: bytes) -> Observation:
    timestamp, integers = 0, {2: b"", 3: b"", 4: b""}
    for number, kind, value in _fields(encoded):
        if number == 1 and kind == VARINT and isinstance(value, int):
            timestamp = value % (1 << 32)
        elif number in integers and kind == BYTES and isinstance(value, bytes):
            integers[number] = value
    return Observation(
        timestamp,
        decode_value(integers[2]),
        decode_value(integers[3]),
        # Oracles of a chain whose contract needs no gas price leave it out.
        decode_value(integers[4]) if integers[4] else 0,
    )


def decode_offchain_config(encoded: bytes) -> OffchainConfig:
    fields = dict.fromkeys(range(1, 6), 0)
    for number, kind, value in _fields(encoded):
        if number in fields and kind == VARINT and isinstance(value, int):
            fields[number] = value
    if fields[5] >= 1 << 63:  # a Go duration
        raise DecodeError("DeltaC must be non-negative")
    return OffchainConfig(bool(fields[1]), fields[2], bool(fields[3]), fields[4], fields[5])


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _fields(encoded: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields of a message in their order: number, wire type and value. All must be well-formed, known or not."""
    position = 0
    groups: list[int] = []
    while position < len(encoded):
        tag, position = _read_varint(encoded, position)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29:
            raise DecodeError(f"a field has the number {number}")
        value: int | bytes = 0
        if kind == VARINT:
            value, position = _read_varint(encoded, position)
        elif kind == BYTES:
            size, position = _read_varint(encoded, position)
            value, position = encoded[position : position + size], position + size
        elif kind in (FIXED64, FIXED32):
            position += 8 if kind == FIXED64 else 4
        elif kind == GROUP:
            groups.append(number)
            if len(groups) > DEEPEST:
                raise DecodeError("groups are nested too deeply")
        elif kind != END_GROUP or not groups or groups.pop() != number:
            raise DecodeError(f"a field has the wire type {kind}")
        if position > len(encoded):
            raise DecodeError("the message is cut short")
        if not groups:
            yield number, kind, value
    if groups:
        raise DecodeError("the message is cut short")


def _read_varint(encoded: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(encoded):
            raise DecodeError("the message is cut short")
        byte = encoded[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, position
    raise DecodeError("a number has more than 64 bits")
