"""What one job asks of its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from loop_contract.median.v1 import median_pb2
from loop_contract.relayer.v1 import relayer_loop, relayer_pb2
from loop_contract.reporting.v1 import reporting_pb2
from loop_plugin import big_int, int_of, refuse
from loop_relayer_python import aggregator
from loop_relayer_python.aggregator import FormatError
from loop_relayer_python.chain import Contract
from loop_relayer_python.queue import Item

if TYPE_CHECKING:
    from loop_relayer_python.plugin import Chain

SCHEME = "default"
"""The only scheme of this contract's reports."""
LATEST_TIME = 253_402_300_799  # the end of the year 9999, which is as far as a Timestamp goes


class ConfigProvider(relayer_loop.Provider):
    """Follows the configuration of a contract, as a bootstrap job does. All else is UNIMPLEMENTED."""

    def __init__(self, chain: Chain, name: str, contract: Contract) -> None:
        self.chain, self.name, self.contract = chain, name, contract

    def close(self) -> None:
        """Stop following. Reports that were accepted are sent all the same."""
        self.chain.follower.release(self.contract, self.name)
        self.chain.relayer.forget(self.name)

    async def latest_config_details(
        self, request: relayer_pb2.LatestConfigDetailsRequest
    ) -> relayer_pb2.LatestConfigDetailsResponse:
        view = self.contract.latest()
        return relayer_pb2.LatestConfigDetailsResponse(changed_in_block=view.config_block, config_digest=view.config_digest)

    async def latest_config(self, request: relayer_pb2.LatestConfigRequest) -> relayer_pb2.LatestConfigResponse:
        config = await self.chain.follower.config_at(self.contract, request.changed_in_block)
        return relayer_pb2.LatestConfigResponse(
            config=relayer_pb2.ContractConfig(
                config_digest=config.digest,
                config_count=config.count,
                signers=[bytes.fromhex(signer[2:]) for signer in config.signers],
                transmitters=[aggregator.address(transmitter) for transmitter in config.transmitters],
                f=config.f,
                onchain_config=config.onchain_config,
                offchain_config_version=config.offchain_version,
                offchain_config=config.offchain_config,
            )
        )

    async def latest_block_height(self, request: relayer_pb2.LatestBlockHeightRequest) -> relayer_pb2.LatestBlockHeightResponse:
        return relayer_pb2.LatestBlockHeightResponse(block_height=self.contract.latest().head.number)

    async def config_digest(self, request: relayer_pb2.ConfigDigestRequest) -> relayer_pb2.ConfigDigestResponse:
        given = request.config
        for i, signer in enumerate(given.signers):
            if len(signer) != 20:
                raise refuse(request, f"config.signers[{i}]", f"has {len(signer)} bytes; an address has 20")
        transmitters = []
        for i, transmitter in enumerate(given.transmitters):
            try:
                transmitters.append(aggregator.address(transmitter))
            except FormatError as error:
                raise refuse(request, f"config.transmitters[{i}]", str(error)) from None
        config = aggregator.ContractConfig(
            b"",
            given.config_count,
            tuple("0x" + signer.hex() for signer in given.signers),
            tuple(transmitters),
            given.f,
            given.onchain_config,
            given.offchain_config_version,
            given.offchain_config,
        )
        digest = aggregator.config_digest(self.chain.config.chain_id, self.contract.address, config)
        return relayer_pb2.ConfigDigestResponse(config_digest=digest)

    async def config_digest_prefix(
        self, request: relayer_pb2.ConfigDigestPrefixRequest
    ) -> relayer_pb2.ConfigDigestPrefixResponse:
        return relayer_pb2.ConfigDigestPrefixResponse(prefix=aggregator.DIGEST_PREFIX)


class MedianProvider(ConfigProvider):
    """For a median job."""

    def __init__(self, chain: Chain, name: str, contract: Contract, account: str, gas: int) -> None:
        super().__init__(chain, name, contract)
        self.account, self.gas = account, gas
        # It exists as long as the chain, and goes on with what an earlier generation left: what was accepted outlives jobs.
        self.queue = chain.queue(account)

    async def transmit(self, request: relayer_pb2.TransmitRequest) -> relayer_pb2.TransmitResponse:
        at = request.report_context.timestamp
        try:
            data = aggregator.transmit(
                at.config_digest,
                at.epoch,
                at.round,
                request.report_context.extra_hash,
                request.report,
                [attributed.signature for attributed in request.signatures],
            )
        except FormatError as error:
            raise refuse(request, "report", str(error)) from None
        await self.queue.add(
            Item(self.account, self.contract.address, at.config_digest.hex(), at.epoch, at.round, data.hex(), self.gas)
        )
        return relayer_pb2.TransmitResponse()

    async def digest_reports(self, request: relayer_pb2.DigestReportsRequest) -> relayer_pb2.DigestReportsResponse:
        digests = []
        for given in request.reports:
            at = given.report_context.timestamp
            message = aggregator.report_hash(
                at.config_digest, at.epoch, at.round, given.report_context.extra_hash, given.report
            )
            digests.append(relayer_pb2.ReportDigest(message=message, scheme=SCHEME))
        return relayer_pb2.DigestReportsResponse(digests=digests)

    async def latest_config_digest_and_epoch(
        self, request: relayer_pb2.LatestConfigDigestAndEpochRequest
    ) -> relayer_pb2.LatestConfigDigestAndEpochResponse:
        view = self.contract.latest()
        return relayer_pb2.LatestConfigDigestAndEpochResponse(config_digest=view.transmitted_digest, epoch=view.epoch)

    async def from_account(self, request: relayer_pb2.FromAccountRequest) -> relayer_pb2.FromAccountResponse:
        return relayer_pb2.FromAccountResponse(account=self.account)

    async def latest_transmission_details(
        self, request: median_pb2.LatestTransmissionDetailsRequest
    ) -> median_pb2.LatestTransmissionDetailsResponse:
        view = self.contract.latest()
        return median_pb2.LatestTransmissionDetailsResponse(
            timestamp=reporting_pb2.ReportTimestamp(config_digest=view.transmitted_digest, epoch=view.epoch, round=view.round),
            latest_answer=big_int(view.answer),
            latest_timestamp=Timestamp(seconds=min(view.transmitted_at, LATEST_TIME)),
            transmitter=self.contract.transmitter(view),
        )

    async def latest_round_requested(
        self, request: median_pb2.LatestRoundRequestedRequest
    ) -> median_pb2.LatestRoundRequestedResponse:
        view, asked = self.contract.latest(), self.contract.requested
        at = reporting_pb2.ReportTimestamp(config_digest=bytes(32))
        if asked is not None and view.head.time - asked[3] <= request.lookback.ToSeconds():
            at = reporting_pb2.ReportTimestamp(config_digest=asked[0], epoch=asked[1], round=asked[2])
        return median_pb2.LatestRoundRequestedResponse(timestamp=at)

    async def build_report(self, request: median_pb2.BuildReportRequest) -> median_pb2.BuildReportResponse:
        if len(request.observations) > aggregator.MAX_ORACLES:
            problem = f"a report holds 1 to {aggregator.MAX_ORACLES}, got {len(request.observations)}"
            raise refuse(request, "observations", problem)
        observations = []
        for i, o in enumerate(request.observations):
            if o.timestamp.seconds >= 1 << 32:
                problem = f"the report holds seconds in 32 bits, got {o.timestamp.seconds}"
                raise refuse(request, f"observations[{i}].timestamp", problem)
            observations.append(
                aggregator.Observation(o.timestamp.seconds, int_of(o.value), int_of(o.juels_per_fee_coin), o.observer)
            )
        return median_pb2.BuildReportResponse(report=aggregator.build_report(observations))

    async def median_from_report(self, request: median_pb2.MedianFromReportRequest) -> median_pb2.MedianFromReportResponse:
        try:
            median = aggregator.median_from_report(request.report)
        except FormatError as error:
            raise refuse(request, "report", str(error)) from None
        return median_pb2.MedianFromReportResponse(median=big_int(median))

    async def max_report_length(self, request: median_pb2.MaxReportLengthRequest) -> median_pb2.MaxReportLengthResponse:
        return median_pb2.MaxReportLengthResponse(max_report_length=aggregator.max_report_length(request.n))

    async def encode_onchain_config(
        self, request: median_pb2.EncodeOnchainConfigRequest
    ) -> median_pb2.EncodeOnchainConfigResponse:
        try:
            encoded = aggregator.encode_onchain_config(int_of(request.config.min), int_of(request.config.max))
        except FormatError as error:
            raise refuse(request, "config", str(error)) from None
        return median_pb2.EncodeOnchainConfigResponse(encoded=encoded)

    async def decode_onchain_config(
        self, request: median_pb2.DecodeOnchainConfigRequest
    ) -> median_pb2.DecodeOnchainConfigResponse:
        try:
            least, most = aggregator.decode_onchain_config(request.encoded)
        except FormatError as error:
            raise refuse(request, "encoded", str(error)) from None
        return median_pb2.DecodeOnchainConfigResponse(config=median_pb2.OnchainConfig(min=big_int(least), max=big_int(most)))
