"""The checks of a job and of a configuration, and what pipelines come to."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from loop_contract.median.v1 import median_pb2
from loop_contract.product.v1 import product_pb2
from loop_contract.reporting.v1 import ocr3_pb2
from loop_plugin import Host, RpcError, big_int, int_of
from loop_twap.plugin import NothingSeenError, Twap, integer, window_of
from loop_twap.window import Outcome, Sample, encode_outcome


class FakeHost:
    logger = logging.getLogger("test")


TWAP = Twap(cast(Host, FakeHost()))


async def test_a_good_job() -> None:
    answer = await TWAP.validate_product_job(
        product_pb2.ValidateProductJobRequest(
            ocr_version=product_pb2.OCR_VERSION_3,
            provider_type="median",
            pipelines=["", "backup"],
            plugin_config_json=b'{"pluginName": "twap", "OCRVersion": 3, "window": 5}',
        )
    )
    assert not answer.problems
    assert [warning.path for warning in answer.warnings] == ["pluginConfig.window"]


async def test_a_bad_job() -> None:
    request = product_pb2.ValidateProductJobRequest(
        ocr_version=product_pb2.OCR_VERSION_2, provider_type="plugin", plugin_config_json=b"[]"
    )
    answer = await TWAP.validate_product_job(request)
    paths = {problem.path for problem in answer.problems}
    assert paths == {"observationSource", "pluginConfig", "pluginConfig.OCRVersion", "pluginConfig.providerType"}
    with pytest.raises(RpcError, match=r"INVALID_ARGUMENT: pluginConfig\.OCRVersion"):
        await TWAP.create_product_factory(
            product_pb2.CreateProductFactoryRequest(ocr_version=product_pb2.OCR_VERSION_2, provider_type="median"),
            cast(Any, None),
        )


class FakeProvider:
    """Has the bounds 10 and 20, and a report that is the answer in decimals."""

    async def decode_onchain_config(self, _: median_pb2.DecodeOnchainConfigRequest) -> median_pb2.DecodeOnchainConfigResponse:
        config = median_pb2.OnchainConfig(min=big_int(10), max=big_int(20))
        return median_pb2.DecodeOnchainConfigResponse(config=config)

    async def max_report_length(self, _: median_pb2.MaxReportLengthRequest) -> median_pb2.MaxReportLengthResponse:
        return median_pb2.MaxReportLengthResponse(max_report_length=100)

    async def build_report(self, request: median_pb2.BuildReportRequest) -> median_pb2.BuildReportResponse:
        return median_pb2.BuildReportResponse(report=str(int_of(request.observations[0].value)).encode())


class FakeLoans:
    provider = FakeProvider()


@pytest.mark.parametrize(
    ("value", "onchain_config", "reports"),
    [(9, b"b", []), (10, b"b", [b"10"]), (20, b"b", [b"20"]), (21, b"b", []), (21, b"", [b"21"])],
)
async def test_bounds_of_the_contract(value: int, onchain_config: bytes, reports: list[bytes]) -> None:
    factory, _ = await TWAP.create_product_factory(
        product_pb2.CreateProductFactoryRequest(ocr_version=product_pb2.OCR_VERSION_3, provider_type="median"),
        cast(Any, FakeLoans()),
    )
    instance, _ = await factory.create_ocr3_plugin(ocr3_pb2.CreateOcr3PluginRequest(n=4, f=1, onchain_config=onchain_config))
    outcome = encode_outcome(Outcome(samples=(Sample(1, value),), observers=(0, 1, 2)))
    response = await instance.reports(ocr3_pb2.Ocr3PluginServiceReportsRequest(seq_nr=1, outcome=outcome))
    assert [r.report.report for r in response.reports] == reports


@pytest.mark.parametrize(
    ("encoded", "want"),
    [(b"7", 7), (b'"-12.99"', -12), (b"1e3", 1000), (b"0.4", 0), (str((1 << 191) - 1).encode(), (1 << 191) - 1)],
)
def test_integers(encoded: bytes, want: int) -> None:
    assert integer(encoded) == want


@pytest.mark.parametrize(
    "encoded", [b"null", b'"a"', b'""', b"1e999999999", b'"Infinity"', b"[1]", str(1 << 191).encode(), b"\xff"]
)
def test_what_is_no_integer(encoded: bytes) -> None:
    with pytest.raises(NothingSeenError):
        integer(encoded)


def test_windows() -> None:
    request = ocr3_pb2.CreateOcr3PluginRequest()
    assert window_of(request) == 60
    request.offchain_config = b'{"window": 600}'
    assert window_of(request) == 600
    for bad in (b"{", b"7", b"{}", b'{"window": 0}', b'{"window": 601}', b'{"window": true}', b'{"window": 5, "a": 1}'):
        request.offchain_config = bad
        with pytest.raises(RpcError, match=r"CreateOcr3PluginRequest\.offchain_config"):
            window_of(request)
