"""The contract's integers of any size."""

from __future__ import annotations

from loop_contract.plugin.v1.bigint_pb2 import BigInt


def big_int(value: int) -> BigInt:
    """The contract's form of an integer."""
    size = (abs(value).bit_length() + 7) // 8
    return BigInt(negative=value < 0, magnitude=abs(value).to_bytes(size, "big"))


def int_of(value: BigInt) -> int:
    """The inverse of big_int. Ask HasField first where absence means something else than zero."""
    magnitude = int.from_bytes(value.magnitude, "big")
    return -magnitude if value.negative else magnitude
