"""The rules of the contract's fields, against an independent reading of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

# The vectors name messages of all of these.
from loop_contract.hostservice.v1 import datasource_pb2, keystore_pb2, store_pb2  # noqa: F401
from loop_contract.median.v1 import median_pb2
from loop_contract.plugin.v1 import options_pb2
from loop_contract.plugin.v1.bigint_pb2 import BigInt
from loop_contract.relayer.v1 import relayer_pb2
from loop_contract.reporting.v1 import reporting_pb2
from loop_plugin import big_int, int_of
from loop_plugin.rules import check

TESTDATA = Path(__file__).resolve().parents[3] / "proto" / "testdata"
# The Go SDK reads the same file.
VECTORS: list[dict[str, str]] = json.loads((TESTDATA / "rules.json").read_text())


def pool() -> descriptor_pool.DescriptorPool:
    """The contract, and the messages of rules_schema.textproto."""
    schema = FileDescriptorProto()
    text_format.Parse((TESTDATA / "rules_schema.textproto").read_text(), schema)
    schema.dependency[:] = [options_pb2.DESCRIPTOR.name]  # the Python package has a folder of its own
    everything = descriptor_pool.Default()
    everything.Add(schema)
    return everything


POOL = pool()


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["about"] for vector in VECTORS])
def test_vectors(vector: dict[str, str]) -> None:
    message = message_factory.GetMessageClass(POOL.FindMessageTypeByName(vector["message"]))()
    text_format.Parse(vector["text"], message)
    found = check(message)
    assert ("" if found is None else str(found)) == vector["violation"]


def observed(value: int) -> datasource_pb2.ObserveResponse:
    return datasource_pb2.ObserveResponse(value=big_int(value))


@given(st.integers())
def test_big_int(value: int) -> None:
    assert int_of(big_int(value)) == value
    assert int_of(BigInt.FromString(big_int(value).SerializeToString())) == value


@given(st.integers(-(1 << 193), 1 << 193))
def test_bits(value: int) -> None:
    fits = -(1 << 191) <= value < 1 << 191
    assert (check(observed(value)) is None) == fits


@given(st.binary(max_size=200))
def test_check_never_raises(encoded: bytes) -> None:
    for kind in (median_pb2.BuildReportRequest, relayer_pb2.TransmitRequest, reporting_pb2.CreateReportingPluginRequest):
        try:
            message = kind.FromString(encoded)
        except Exception:  # protobuf's own
            continue
        check(message)
