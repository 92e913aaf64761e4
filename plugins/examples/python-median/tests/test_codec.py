"""The bytes that oracles exchange."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop_median_python.codec import (
    MAX_OBSERVATION,
    DecodeError,
    OffchainConfig,
    decode_observation,
    decode_offchain_config,
    decode_value,
    encode_observation,
    encode_value,
)
from loop_median_python.plugin import deviates

int192 = st.integers(-(1 << 191), (1 << 191) - 1)


@given(st.integers(0, (1 << 32) - 1), int192, int192, int192)
def test_observations_return(timestamp: int, value: int, juels: int, gas: int) -> None:
    encoded = encode_observation(timestamp, encode_value(value), encode_value(juels), encode_value(gas))
    assert len(encoded) <= MAX_OBSERVATION
    got = decode_observation(encoded)
    assert (got.timestamp, got.value, got.juels_per_fee_coin, got.gas_price_subunits) == (timestamp, value, juels, gas)


def test_observation_bytes() -> None:
    """Field by field as libocr's NumericalMedianObservationProto: 1 a varint, 2 to 4 bytes."""
    one = encode_value(1)
    assert encode_observation(300, one, one, b"").hex() == "08ac02" + ("1218" + one.hex()) + ("1a18" + one.hex())
    assert decode_observation(encode_observation(0, one, one, b"")).gas_price_subunits == 0


@given(st.binary(max_size=120))
def test_noise_is_refused_or_read(encoded: bytes) -> None:
    for decode in (decode_observation, decode_offchain_config):
        try:
            decode(encoded)
        except DecodeError:
            continue


@pytest.mark.parametrize("size", [0, 23, 25])
def test_values_have_24_bytes(size: int) -> None:
    with pytest.raises(DecodeError):
        decode_value(bytes(size))


def test_offchain_config() -> None:
    assert decode_offchain_config(b"") == OffchainConfig()
    assert decode_offchain_config(bytes.fromhex("0801100218012003 2880a0be819501".replace(" ", ""))) == OffchainConfig(
        True, 2, True, 3, 40_000_000_000
    )
    with pytest.raises(DecodeError, match="DeltaC"):
        decode_offchain_config(b"\x28" + b"\xff" * 9 + b"\x01")


@pytest.mark.parametrize(
    ("ppb", "old", "new", "want"),
    [
        (0, 0, 0, False), (10**18, 0, 1, True), (0, 5, 5, True), (1, 5, 5, False),
        (500_000_000, 100, 150, True), (500_000_001, 100, 150, False), (500_000_000, -100, -50, True),
    ],
)  # fmt: skip
def test_deviation(ppb: int, old: int, new: int, want: bool) -> None:
    assert deviates(ppb, old, new) is want
