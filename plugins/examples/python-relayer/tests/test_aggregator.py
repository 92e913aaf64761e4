"""The contract as bytes, against vectors that libocr and go-ethereum made."""

from __future__ import annotations

import pytest
from eth_abi import abi
from hypothesis import given
from hypothesis import strategies as st

from loop_relayer_python import aggregator
from loop_relayer_python.aggregator import ContractConfig, FormatError, Observation
from loop_relayer_python.chain import Contract, Head, View

int192 = st.integers(aggregator.LEAST, aggregator.MOST)


def test_report() -> None:
    """Twenty oracles, of which many see equal values: libocr's order of the observers is part of the bytes."""
    observations = [Observation(1_700_000_000 + i * 7 % 5, i * 7 % 5 - 2, i * 3 % 4, i) for i in range(20)]
    report = aggregator.build_report(observations)
    words = [report[i : i + 32].hex() for i in range(0, len(report), 32)]
    assert words[0] == f"{1_700_000_002:064x}"
    assert words[1] == "0f050a000d12030806100b0104130e0902070c11" + "00" * 12
    assert words[2:5] == [f"{0x80:064x}", f"{2:064x}", f"{20:064x}"]
    assert words[5:] == [f"{v % (1 << 256):064x}" for v in (-2, -1, 0, 1, 2) for _ in range(4)]
    assert len(report) == aggregator.max_report_length(20)
    assert aggregator.median_from_report(report) == 0


def test_config_digest() -> None:
    contract = "0x00000000000000000000000000000000000000C0"
    oracles = tuple(f"0x{i:040x}" for i in range(1, 5))
    config = ContractConfig(b"", 3, oracles, oracles, 1, b"\1\2", 2, b"\3\4\5")
    digest = aggregator.config_digest(1337, contract, config)
    assert digest.hex() == "000151104b47f81872d34db302464dc0a9f88a0cfaed9b1c154f0d5e1e98d94f"


@given(int192, int192)
def test_onchain_config(least: int, most: int) -> None:
    if least > most:
        with pytest.raises(FormatError):
            aggregator.encode_onchain_config(least, most)
        return
    encoded = aggregator.encode_onchain_config(least, most)
    assert len(encoded) == 49 and aggregator.decode_onchain_config(encoded) == (least, most)


@given(st.binary(max_size=200))
def test_noise_is_refused(encoded: bytes) -> None:
    for decode in (aggregator.median_from_report, aggregator.decode_onchain_config):
        try:
            decode(encoded)
        except FormatError:
            continue


def test_transmit() -> None:
    report = aggregator.build_report([Observation(1, 2, 3, 0)])
    signature = bytes(range(64)) + b"\1"
    data = aggregator.transmit(bytes(32), 5, 6, bytes(32), report, [signature])
    assert data[:4].hex() == "b1dc65a4"
    assert data[4 + 32 : 4 + 64].hex() == f"{5 << 8 | 6:064x}"
    for bad in ([], [signature] * 32, [signature[:64]], [bytes(64) + b"\2"]):
        with pytest.raises(FormatError, match="signatures"):
            aggregator.transmit(bytes(32), 5, 6, bytes(32), report, bad)
    with pytest.raises(FormatError):
        aggregator.transmit(bytes(32), 5, 6, bytes(32), b"no report", [signature])


def test_address() -> None:
    good = "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb"
    for spelling in (good, good.lower(), good[2:], good.upper()):
        assert aggregator.address(spelling) == good
    for bad in ("", "0x12", good[:-1] + "g", good + "0"):
        with pytest.raises(FormatError):
            aggregator.address(bad)


def test_topics() -> None:
    assert aggregator.CONFIG_SET_TOPIC == "0x1591690b8638f5fb2dbec82ac741805ac5da8b45dc5263f4875b0496fdce4e05"
    assert aggregator.ROUND_REQUESTED_TOPIC == "0x41e3990591fd372502daa15842da15bc7f41c75309ab3ff4f56f1848c178825c"
    assert aggregator.NEW_TRANSMISSION_TOPIC == "0xc797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a"


def test_new_transmission() -> None:
    transmitter, digest = "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb", bytes([0, 1, *range(30)])
    values = (42, transmitter, 1_700_000_000, [41, 42, 43], b"\0\1\2", 7, digest, 5 << 8 | 6)
    data = "0x" + abi.encode(aggregator.NEW_TRANSMISSION, values).hex()
    assert aggregator.parse_new_transmission(data) == (digest, 5, 6, transmitter)
    for bad in (data[:-64], data[:-1], "0x", "no hexadecimal"):
        with pytest.raises(FormatError):
            aggregator.parse_new_transmission(bad)


def test_transmitter() -> None:
    digest, head = bytes(32), Head(7, bytes(32), 0)
    contract = Contract("0x", sent=(digest, 5, 6, "0xA"))
    for epoch, number, want in ((5, 6, "0xA"), (5, 7, ""), (6, 6, "")):
        assert contract.transmitter(View(head, 1, digest, digest, epoch, number, 42, 0, 0)) == want
    assert Contract("0x").transmitter(View(head, 1, digest, digest, 5, 6, 42, 0, 0)) == ""
