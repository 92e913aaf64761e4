"""The product's calls: a root makes one factory per job, a factory one instance per on-chain configuration."""

from __future__ import annotations

import json
import time
from decimal import Decimal, InvalidOperation
from typing import ClassVar

from google.protobuf.timestamp_pb2 import Timestamp

from loop_contract.hostservice.v1 import errorlog_pb2, pipeline_pb2
from loop_contract.median.v1 import median_pb2
from loop_contract.plugin.v1.problem_pb2 import Problem
from loop_contract.product.v1 import product_loop, product_pb2
from loop_contract.reporting.v1 import ocr3_loop, ocr3_pb2
from loop_plugin import Code, Host, RpcError, big_int, int_of, refuse
from loop_twap.window import (
    LONGEST_WINDOW,
    MAX_OBSERVATION,
    WIDTH,
    DecodeError,
    Sample,
    advance,
    average,
    decode_observation,
    decode_outcome,
    encode_outcome,
    encode_sample,
    max_outcome,
)

DEFAULT_WINDOW = 60
NODE_KEYS = {"OCRVersion", "pipelines", "pluginName", "providerType", "telemetryType"}
"""The keys of pluginConfig that the node reads. There are no others: what oracles must agree on is in the contract."""

Bounds = tuple[int, int]


class NothingSeenError(Exception):
    """Why an oracle has no value."""


class Instance(ocr3_loop.Ocr3Plugin):
    """The average under one on-chain configuration. It keeps nothing: what must be remembered is in the outcome."""

    def __init__(
        self,
        host: Host,
        loans: product_loop.CreateProductFactoryLoans,
        request: ocr3_pb2.CreateOcr3PluginRequest,
        window: int,
        bounds: Bounds | None,
    ) -> None:
        self.logger, self.loans, self.window, self.bounds = host.logger, loans, window, bounds
        self.digest, self.f = request.config_digest, request.f

    async def query(self, request: ocr3_pb2.Ocr3PluginServiceQueryRequest) -> ocr3_pb2.Ocr3PluginServiceQueryResponse:
        return ocr3_pb2.Ocr3PluginServiceQueryResponse()

    async def observation(
        self, request: ocr3_pb2.Ocr3PluginServiceObservationRequest
    ) -> ocr3_pb2.Ocr3PluginServiceObservationResponse:
        """An oracle that sees nothing sends an empty observation, which counts for the quorum."""
        now = int(time.time())
        try:
            value = await self.observe(f"{self.digest.hex()}/{request.context.seq_nr}/{now}")
        except NothingSeenError as why:
            self.logger.warning(
                "this oracle has no value to observe", extra={"seq_nr": request.context.seq_nr, "reason": str(why)}
            )
            await self.record(f"the TWAP observes nothing: {why}")
            return ocr3_pb2.Ocr3PluginServiceObservationResponse()
        return ocr3_pb2.Ocr3PluginServiceObservationResponse(observation=encode_sample(Sample(now, value)))

    async def observe(self, run_id: str) -> int:
        """Run the job's observationSource."""
        try:
            answer = await self.loans.pipelines.run(pipeline_pb2.RunRequest(run_id=run_id))
        except RpcError as error:
            if error.code in (Code.UNAVAILABLE, Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.INTERNAL):
                raise  # the node restarts what was asked and asks again, or is at fault itself
            raise NothingSeenError(error.message) from None
        last = next((result for result in answer.results if result.terminal), None)
        if last is None:
            raise NothingSeenError("the observationSource has no last task")
        if last.error:
            raise NothingSeenError(f"the task {last.task} of the observationSource: {last.error}")
        return integer(last.value_json)

    async def record(self, problem: str) -> None:
        try:
            await self.loans.error_log.record_error(errorlog_pb2.RecordErrorRequest(message=problem[:1000]))
        except RpcError as error:
            self.logger.warning("an error of the job could not be recorded", extra={"reason": error.message})

    async def validate_observation(
        self, request: ocr3_pb2.Ocr3PluginServiceValidateObservationRequest
    ) -> ocr3_pb2.Ocr3PluginServiceValidateObservationResponse:
        problem = ""
        try:
            decode_observation(request.observation.observation)
        except DecodeError as error:
            problem = str(error)
        return ocr3_pb2.Ocr3PluginServiceValidateObservationResponse(problem=problem)

    async def observation_quorum(
        self, request: ocr3_pb2.Ocr3PluginServiceObservationQuorumRequest
    ) -> ocr3_pb2.Ocr3PluginServiceObservationQuorumResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the quorum is a number, which the node counts")

    async def outcome(self, request: ocr3_pb2.Ocr3PluginServiceOutcomeRequest) -> ocr3_pb2.Ocr3PluginServiceOutcomeResponse:
        try:
            previous = decode_outcome(request.context.previous_outcome)
        except DecodeError as error:
            raise RpcError(Code.FAILED_PRECONDITION, str(error)) from None
        observations = [(o.observer, o.observation) for o in request.observations]
        outcome = advance(self.window, self.f, previous, observations)
        return ocr3_pb2.Ocr3PluginServiceOutcomeResponse(outcome=encode_outcome(outcome))

    async def reports(self, request: ocr3_pb2.Ocr3PluginServiceReportsRequest) -> ocr3_pb2.Ocr3PluginServiceReportsResponse:
        """The lent codec is as pure as this method must be. The contract would refuse a report outside of its bounds."""
        try:
            outcome = decode_outcome(request.outcome)
        except DecodeError as error:
            raise RpcError(Code.FAILED_PRECONDITION, str(error)) from None
        if not outcome.observers:
            return ocr3_pb2.Ocr3PluginServiceReportsResponse()
        value = average(self.window, outcome.samples)
        if self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]:
            return ocr3_pb2.Ocr3PluginServiceReportsResponse()
        answer, at = big_int(value), Timestamp(seconds=outcome.samples[-1].at)
        # The contract takes the middle of what oracles say. Here they all say the same.
        built = await self.loans.provider.build_report(
            median_pb2.BuildReportRequest(
                observations=[
                    median_pb2.ParsedAttributedObservation(
                        timestamp=at,
                        value=answer,
                        juels_per_fee_coin=big_int(0),
                        gas_price_subunits=big_int(0),
                        observer=observer,
                    )
                    for observer in outcome.observers
                ]
            )
        )
        report = ocr3_pb2.ReportPlus(report=ocr3_pb2.ReportWithInfo(report=built.report))
        return ocr3_pb2.Ocr3PluginServiceReportsResponse(reports=[report])

    async def should_accept_attested_report(
        self, request: ocr3_pb2.Ocr3PluginServiceShouldAcceptAttestedReportRequest
    ) -> ocr3_pb2.Ocr3PluginServiceShouldAcceptAttestedReportResponse:
        return ocr3_pb2.Ocr3PluginServiceShouldAcceptAttestedReportResponse(should_accept=await self.fresh(request.seq_nr))

    async def should_transmit_accepted_report(
        self, request: ocr3_pb2.Ocr3PluginServiceShouldTransmitAcceptedReportRequest
    ) -> ocr3_pb2.Ocr3PluginServiceShouldTransmitAcceptedReportResponse:
        return ocr3_pb2.Ocr3PluginServiceShouldTransmitAcceptedReportResponse(should_transmit=await self.fresh(request.seq_nr))

    async def fresh(self, seq_nr: int) -> bool:
        """Whether an outcome is newer than all that the contract has. Contracts of OCR2 have its number as epoch."""
        latest = await self.loans.provider.latest_transmission_details(median_pb2.LatestTransmissionDetailsRequest())
        return latest.timestamp.config_digest != self.digest or latest.timestamp.epoch < seq_nr


class Factory(product_loop.ProductFactory):
    """Makes one job's instances, of OCR3 only: a method that is not written here is UNIMPLEMENTED."""

    def __init__(self, instance: type[Instance], host: Host, loans: product_loop.CreateProductFactoryLoans) -> None:
        self.instance, self.host, self.loans = instance, host, loans

    async def create_ocr3_plugin(
        self, request: ocr3_pb2.CreateOcr3PluginRequest
    ) -> tuple[ocr3_loop.Ocr3Plugin, ocr3_pb2.CreateOcr3PluginResponse]:
        window = window_of(request)
        bounds = await self.bounds_of(request)
        longest = await self.loans.provider.max_report_length(median_pb2.MaxReportLengthRequest(n=request.n))
        return self.instance(self.host, self.loans, request, window, bounds), ocr3_pb2.CreateOcr3PluginResponse(
            product="twap",
            limits=ocr3_pb2.Ocr3PluginLimits(
                max_observation_length=MAX_OBSERVATION,
                max_outcome_length=max_outcome(request.n),
                max_report_length=longest.max_report_length,
                max_report_count=1,
            ),
            observation_quorum=ocr3_pb2.OBSERVATION_QUORUM_TWO_F_PLUS_ONE,
        )

    async def bounds_of(self, request: ocr3_pb2.CreateOcr3PluginRequest) -> Bounds | None:
        """The least and the largest answer that the contract accepts; None: it accepts any."""
        if not request.onchain_config:
            return None
        decoded = await self.loans.provider.decode_onchain_config(
            median_pb2.DecodeOnchainConfigRequest(encoded=request.onchain_config)
        )
        return int_of(decoded.config.min), int_of(decoded.config.max)


class Twap(product_loop.ProductService):
    """The root of the process. A product that begins as the TWAP derives from it, and names its own class of instances."""

    instance: ClassVar[type[Instance]] = Instance

    def __init__(self, host: Host) -> None:
        self.host = host

    async def describe_product(self, request: product_pb2.DescribeProductRequest) -> product_pb2.DescribeProductResponse:
        return product_pb2.DescribeProductResponse(
            product="twap", ocr_versions=[product_pb2.OCR_VERSION_3], provider_types=["median"]
        )

    async def validate_product_job(
        self, request: product_pb2.ValidateProductJobRequest
    ) -> product_pb2.ValidateProductJobResponse:
        problems = problems_of(request.ocr_version, request.provider_type)
        warnings: list[Problem] = []
        if "" not in request.pipelines:
            problems.append(Problem(path="observationSource", message="is missing: the TWAP is of what it comes to"))
        try:
            keys = json.loads(request.plugin_config_json or b"{}")
            if not isinstance(keys, dict):
                raise ValueError("it is a value of another kind")
        except ValueError as error:
            problems.append(Problem(path="pluginConfig", message=f"is not a JSON object: {error}"))
        else:
            warnings += [
                Problem(path=f"pluginConfig.{key}", message="has no effect: the window stands in the contract's configuration")
                for key in sorted(keys.keys() - NODE_KEYS)
            ]
        return product_pb2.ValidateProductJobResponse(problems=problems, warnings=warnings)

    async def create_product_factory(
        self, request: product_pb2.CreateProductFactoryRequest, loans: product_loop.CreateProductFactoryLoans
    ) -> tuple[product_loop.ProductFactory, product_pb2.CreateProductFactoryResponse]:
        for problem in problems_of(request.ocr_version, request.provider_type):
            raise RpcError(Code.INVALID_ARGUMENT, f"{problem.path}: {problem.message}")
        return Factory(self.instance, self.host, loans), product_pb2.CreateProductFactoryResponse()


def problems_of(version: product_pb2.OcrVersion, provider_type: str) -> list[Problem]:
    problems: list[Problem] = []
    if version != product_pb2.OCR_VERSION_3:
        problems.append(
            Problem(
                path="pluginConfig.OCRVersion", message=f"is {version}; the TWAP's window lies in OCR3's outcomes, so write 3"
            )
        )
    if provider_type != "median":
        problems.append(
            Problem(
                path="pluginConfig.providerType", message=f'is "{provider_type}"; the TWAP reports to contracts of type median'
            )
        )
    return problems


def window_of(request: ocr3_pb2.CreateOcr3PluginRequest) -> int:
    """The window in seconds. It is the same for all oracles, because it is in the contract: {"window": 60}."""
    if not request.offchain_config:
        return DEFAULT_WINDOW
    try:
        config = json.loads(request.offchain_config)
    except ValueError as error:
        raise refuse(request, "offchain_config", f"is not JSON: {error}") from None
    window = config.get("window") if isinstance(config, dict) and len(config) == 1 else None
    if type(window) is not int or not 1 <= window <= LONGEST_WINDOW:
        raise refuse(request, "offchain_config", f'must be {{"window": SECONDS}} with 1 to {LONGEST_WINDOW} of them')
    return window


def integer(encoded: bytes) -> int:
    """Read a JSON number or a text of one, and drop what is behind the point."""
    text = encoded.decode(errors="replace").strip().strip('"')
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise NothingSeenError(f"the observationSource came to {text[:100]!r}, which is not a decimal") from None
    if number.is_finite() and number.adjusted() < 60:  # int() of a larger one would write out all of its digits
        value = int(number)
        if -(1 << 8 * WIDTH - 1) <= value < 1 << 8 * WIDTH - 1:
            return value
    raise NothingSeenError(f"the observationSource came to {text[:100]!r}, which does not fit {WIDTH} bytes")
