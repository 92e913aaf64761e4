"""The rules of the contract's fields, against an independent reading of them."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from loop_contract.hostservice.v1 import datasource_pb2, keystore_pb2, store_pb2
from loop_contract.median.v1 import median_pb2
from loop_contract.plugin.v1.bigint_pb2 import BigInt
from loop_contract.relayer.v1 import relayer_pb2
from loop_contract.reporting.v1 import reporting_pb2
from loop_plugin import big_int, int_of
from loop_plugin.rules import check

AT = reporting_pb2.ReportTimestamp(config_digest=bytes(32))


def parsed(**changes: object) -> median_pb2.BuildReportRequest:
    fields = {"timestamp": Timestamp(), "value": BigInt(), "juels_per_fee_coin": BigInt(), "gas_price_subunits": BigInt()}
    good = median_pb2.ParsedAttributedObservation(**fields)  # type: ignore[arg-type]
    bad = median_pb2.ParsedAttributedObservation(**{**fields, **changes})  # type: ignore[arg-type]
    return median_pb2.BuildReportRequest(observations=[good, bad])


@pytest.mark.parametrize(
    ("message", "violation"),
    [
        (parsed(), None),
        (parsed(value=None), "observations[1].value: is absent; it is required"),
        (parsed(observer=255), "observations[1].observer: is 255; the largest value is 254"),
        (parsed(value=big_int(1 << 191)), "observations[1].value: does not fit a signed integer of 192 bits"),
        (parsed(value=big_int(-(1 << 191))), None),
        (
            parsed(value=BigInt(magnitude=b"\0\1")),
            "observations[1].value.magnitude: begins with a zero byte; the shortest form is wanted",
        ),
        (parsed(value=BigInt(negative=True)), "observations[1].value.negative: is set for zero"),
        (parsed(timestamp=Timestamp(seconds=-1)), "observations[1].timestamp: is before 1970"),
        (
            parsed(timestamp=Timestamp(nanos=-1)),
            "observations[1].timestamp: is not a valid timestamp: -1 nanoseconds are negative, or a second or more",
        ),
        (median_pb2.BuildReportRequest(), "observations: is empty; at least one element is wanted"),
        (median_pb2.MaxReportLengthRequest(), "n: is 0; the least value is 1"),
        (datasource_pb2.ObserveRequest(), "timestamp: is absent; it is required"),
        (datasource_pb2.ObserveRequest(timestamp=AT), None),
        (
            datasource_pb2.ObserveRequest(timestamp=reporting_pb2.ReportTimestamp(config_digest=bytes(31))),
            "timestamp.config_digest: has 31 bytes; it must have 32",
        ),
        (keystore_pb2.SignRequest(account="é" * 129, data=b"x"), "account: has 258 bytes; the limit is 256"),
        (keystore_pb2.SignRequest(account="a"), "data: is empty; it is required"),
        (store_pb2.ListRequest(page_size=1001), "page_size: is 1001; the largest value is 1000"),
        (relayer_pb2.CreateChainRequest(name="x" * 257), "name: has 257 bytes; the limit is 256"),
        (relayer_pb2.CreateChainRequest(name="a", chain_id="1", keystore="k"), "store: is empty; it is required"),
        (
            median_pb2.LatestRoundRequestedRequest(lookback=Duration(seconds=1, nanos=-1)),
            "lookback: is not a valid duration: seconds and nanoseconds have different signs",
        ),
        (median_pb2.LatestRoundRequestedRequest(lookback=Duration(nanos=-1)), "lookback: is negative"),
    ],
)  # fmt: skip
def test_check(message: Message, violation: str | None) -> None:
    found = check(message)
    assert (None if found is None else str(found)) == violation


@given(st.integers())
def test_big_int(value: int) -> None:
    assert int_of(big_int(value)) == value
    assert int_of(BigInt.FromString(big_int(value).SerializeToString())) == value


@given(st.integers(-(1 << 193), 1 << 193))
def test_bits(value: int) -> None:
    fits = -(1 << 191) <= value < 1 << 191
    assert (check(parsed(value=big_int(value))) is None) == fits


@given(st.binary(max_size=200))
def test_check_never_raises(encoded: bytes) -> None:
    for kind in (median_pb2.BuildReportRequest, relayer_pb2.TransmitRequest, reporting_pb2.CreateReportingPluginRequest):
        try:
            message = kind.FromString(encoded)
        except Exception:  # protobuf's own
            continue
        check(message)
