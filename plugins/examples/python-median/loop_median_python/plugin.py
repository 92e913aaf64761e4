"""The median's logic: a root makes one factory per job, a factory one instance per on-chain configuration."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import ClassVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry, Counter

from loop_contract.hostservice.v1 import datasource_pb2
from loop_contract.hostservice.v1.datasource_loop import DataSourceServiceStub
from loop_contract.median.v1 import median_loop, median_pb2
from loop_contract.reporting.v1 import reporting_loop, reporting_pb2
from loop_median_python.codec import (
    MAX_OBSERVATION,
    DecodeError,
    Observation,
    OffchainConfig,
    decode_observation,
    decode_offchain_config,
    encode_observation,
    encode_value,
)
from loop_plugin import Code, Host, RpcError, big_int, int_of, refuse, sorted_as_go

BILLION = 1_000_000_000


class Metrics:
    """Counts over all jobs of the process: a label per job would grow without bound."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.observations = Counter("loop_median_observations", "Observations by outcome.", ["outcome"], registry=registry)


class Instance(reporting_loop.ReportingPlugin):
    """The median under one on-chain configuration."""

    def __init__(
        self,
        factory: Factory,
        request: reporting_pb2.CreateReportingPluginRequest,
        config: OffchainConfig,
        bounds: median_pb2.OnchainConfig,
        max_report_length: int,
    ) -> None:
        self.loans, self.provider = factory.loans, factory.loans.provider
        self.include_gas_price = factory.include_gas_price
        self.metrics = factory.metrics
        self.digest, self.f = request.config_digest, request.f
        self.logger = logging.LoggerAdapter(factory.logger, {"config_digest": self.digest.hex()})
        self.config, self.max_report_length = config, max_report_length
        self.least, self.most = int_of(bounds.min), int_of(bounds.max)
        # What was accepted last. It changes across awaits, so acceptances take turns.
        self.accepted, self.accepted_median = (0, 0), 0
        self.turn = asyncio.Lock()

    async def query(self, request: reporting_pb2.QueryRequest) -> reporting_pb2.QueryResponse:
        return reporting_pb2.QueryResponse()

    async def observation(self, request: reporting_pb2.ObservationRequest) -> reporting_pb2.ObservationResponse:
        expect_empty(request.query)
        loans, timestamp = self.loans, request.timestamp
        try:
            value, juels, gas = await asyncio.gather(
                observe(loans.value_source, "the value source", timestamp),
                observe(loans.juels_per_fee_coin_source, "the source of juels per fee coin", timestamp),
                observe(loans.gas_price_subunits_source, "the source of gas price subunits", timestamp),
            )
        except RpcError as error:
            self.metrics.observations.labels("late" if error.code is Code.DEADLINE_EXCEEDED else "failed").inc()
            raise
        self.metrics.observations.labels("made").inc()
        observation = encode_observation(
            int(time.time()),
            encode_value(value),
            encode_value(juels),
            encode_value(gas) if self.include_gas_price else b"",
        )
        return reporting_pb2.ObservationResponse(observation=observation)

    async def report(self, request: reporting_pb2.ReportRequest) -> reporting_pb2.ReportResponse:
        expect_empty(request.query)
        parsed: list[tuple[Observation, int]] = []
        for attributed in request.observations:
            try:
                parsed.append((decode_observation(attributed.observation), attributed.observer))
            except DecodeError as error:
                self.logger.warning(
                    "dropping invalid observation", extra={"observer": attributed.observer, "reason": str(error)}
                )
        if len(parsed) < self.f + 1:
            raise RpcError(
                Code.FAILED_PRECONDITION,
                f"only received {len(parsed)} valid attributed observations, but need at least f+1 ({self.f + 1})",
            )
        parsed = sorted_as_go(parsed, key=lambda o: o[0].value)
        if not await self.should_report(request.timestamp, parsed[len(parsed) // 2][0].value):
            return reporting_pb2.ReportResponse()
        built = await self.provider.build_report(
            median_pb2.BuildReportRequest(
                observations=[
                    median_pb2.ParsedAttributedObservation(
                        timestamp=Timestamp(seconds=o.timestamp),
                        value=big_int(o.value),
                        juels_per_fee_coin=big_int(o.juels_per_fee_coin),
                        gas_price_subunits=big_int(o.gas_price_subunits),
                        observer=observer,
                    )
                    for o, observer in parsed
                ]
            )
        )
        if len(built.report) > self.max_report_length:
            raise RpcError(
                Code.FAILED_PRECONDITION, f"the report has {len(built.report)} bytes; its codec allows {self.max_report_length}"
            )
        return reporting_pb2.ReportResponse(should_report=True, report=built.report)

    async def should_report(self, timestamp: reporting_pb2.ReportTimestamp, answer: int) -> bool:
        lookback = Duration()
        lookback.FromNanoseconds(self.config.delta_c)
        latest, asked = await asyncio.gather(
            self.provider.latest_transmission_details(median_pb2.LatestTransmissionDetailsRequest()),
            self.provider.latest_round_requested(median_pb2.LatestRoundRequestedRequest(lookback=lookback)),
        )
        if not self.least <= answer <= self.most:
            self.logger.warning("no report: the answer is outside of the contract's bounds", extra={"answer": answer})
            return False
        transmitted = latest.timestamp
        initial = transmitted.config_digest == timestamp.config_digest and transmitted.epoch == 0 and transmitted.round == 0
        deviation = not self.config.alpha_report_infinite and deviates(
            self.config.alpha_report_ppb, int_of(latest.latest_answer), answer
        )
        timeout = latest.latest_timestamp.ToNanoseconds() + self.config.delta_c < time.time_ns()
        requested = asked.timestamp.config_digest == timestamp.config_digest and position(asked.timestamp) >= position(
            transmitted
        )
        reasons = {"initial_round": initial, "deviation": deviation, "delta_c": timeout, "requested": requested}
        self.logger.debug("whether to report", extra=reasons)
        return any(reasons.values())

    async def should_accept_finalized_report(
        self, request: reporting_pb2.ShouldAcceptFinalizedReportRequest
    ) -> reporting_pb2.ShouldAcceptFinalizedReportResponse:
        async with self.turn:
            accepted = await self.accepts(position(request.timestamp), request.report)
        return reporting_pb2.ShouldAcceptFinalizedReportResponse(should_accept=accepted)

    async def accepts(self, at: tuple[int, int], report: bytes) -> bool:
        if at <= self.accepted:
            return False
        on_chain = await self.on_chain(at)
        if on_chain is None or len(report) > self.max_report_length:
            return False
        answer = await self.provider.median_from_report(median_pb2.MedianFromReportRequest(report=report))
        median = int_of(answer.median)
        nothing_pending = on_chain >= self.accepted
        deviation = not self.config.alpha_accept_infinite and deviates(
            self.config.alpha_accept_ppb, self.accepted_median, median
        )
        if not (deviation or nothing_pending):
            return False
        self.accepted, self.accepted_median = at, median
        return True

    async def should_transmit_accepted_report(
        self, request: reporting_pb2.ShouldTransmitAcceptedReportRequest
    ) -> reporting_pb2.ShouldTransmitAcceptedReportResponse:
        fresh = await self.on_chain(position(request.timestamp)) is not None
        return reporting_pb2.ShouldTransmitAcceptedReportResponse(should_transmit=fresh)

    async def on_chain(self, at: tuple[int, int]) -> tuple[int, int] | None:
        """The contract's latest epoch and round; None: a report of `at` is stale, or for another configuration."""
        latest = await self.provider.latest_transmission_details(median_pb2.LatestTransmissionDetailsRequest())
        stands = position(latest.timestamp)
        return stands if latest.timestamp.config_digest == self.digest and stands < at else None


class Factory(median_loop.MedianFactory):
    """Makes one job's instances."""

    def __init__(
        self,
        instance: type[Instance],
        loans: median_loop.CreateMedianFactoryLoans,
        include_gas_price: bool,
        logger: logging.Logger,
        metrics: Metrics,
    ) -> None:
        self.instance, self.loans, self.include_gas_price = instance, loans, include_gas_price
        self.logger, self.metrics = logger, metrics

    async def create_reporting_plugin(
        self, request: reporting_pb2.CreateReportingPluginRequest
    ) -> tuple[reporting_loop.ReportingPlugin, reporting_pb2.CreateReportingPluginResponse]:
        try:
            config = decode_offchain_config(request.offchain_config)
        except DecodeError as error:
            raise refuse(
                request, "offchain_config", f"does not decode as the numerical median's configuration: {error}"
            ) from None
        provider = self.loans.provider
        decoded = await provider.decode_onchain_config(median_pb2.DecodeOnchainConfigRequest(encoded=request.onchain_config))
        longest = await provider.max_report_length(median_pb2.MaxReportLengthRequest(n=request.n))
        instance = self.instance(self, request, config, decoded.config, longest.max_report_length)
        return instance, reporting_pb2.CreateReportingPluginResponse(
            product="NumericalMedian",
            unique_reports=False,
            limits=reporting_pb2.ReportingPluginLimits(
                max_observation_length=MAX_OBSERVATION, max_report_length=longest.max_report_length
            ),
        )


class Median(median_loop.MedianService):
    """The root of the process. A product that begins as the median derives from it, and names its own class of instances."""

    instance: ClassVar[type[Instance]] = Instance

    def __init__(self, host: Host) -> None:
        self.host = host
        self.metrics = Metrics(host.registry)

    async def create_median_factory(
        self, request: median_pb2.CreateMedianFactoryRequest, loans: median_loop.CreateMedianFactoryLoans
    ) -> tuple[median_loop.MedianFactory, median_pb2.CreateMedianFactoryResponse]:
        if request.HasField("deviation_function"):
            # An oracle that guessed another formula would disagree with its network.
            raise refuse(
                request,
                "deviation_function.type",
                f'the deviation function "{request.deviation_function.type}" is not known to this plugin: remove '
                "deviationFunc from the job's pluginConfig or run the job on a plugin that has it",
            )
        factory = Factory(self.instance, loans, request.include_gas_price_subunits, self.host.logger, self.metrics)
        return factory, median_pb2.CreateMedianFactoryResponse()


def deviates(ppb: int, old: int, new: int) -> bool:
    """Whether |new - old| / |old| is at least so many parts per billion. Any step away from zero counts."""
    if old == 0:
        return new != 0
    return abs(new - old) * BILLION >= ppb * abs(old)


def position(timestamp: reporting_pb2.ReportTimestamp) -> tuple[int, int]:
    return timestamp.epoch, timestamp.round


def expect_empty(query: bytes) -> None:
    if query:
        raise RpcError(Code.FAILED_PRECONDITION, "expected empty query")


async def observe(source: DataSourceServiceStub, name: str, timestamp: reporting_pb2.ReportTimestamp) -> int:
    try:
        answer = await source.observe(datasource_pb2.ObserveRequest(timestamp=timestamp))
    except RpcError as error:
        raise RpcError(error.code, f"{name}: {error.message}") from None
    return int_of(answer.value)
