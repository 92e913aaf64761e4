"""Not a product: a median of 8 bytes over OCR3, as the node's tests have it in Go, which compare the two."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from loop_contract.product.v1 import product_loop, product_pb2
from loop_contract.reporting.v1 import ocr3_loop, ocr3_pb2
from loop_plugin import Code, Host, RpcError, serve

WIDTH = 8
KEPT = 3


class Instance(ocr3_loop.Ocr3Plugin):
    """An outcome is the latest medians, and there is a report of each. What a test does not call is left out."""

    def __init__(self, f: int) -> None:
        self.f = f

    async def query(self, request: ocr3_pb2.Ocr3PluginServiceQueryRequest) -> ocr3_pb2.Ocr3PluginServiceQueryResponse:
        return ocr3_pb2.Ocr3PluginServiceQueryResponse(query=f"query {request.context.seq_nr}".encode())

    async def observation(
        self, request: ocr3_pb2.Ocr3PluginServiceObservationRequest
    ) -> ocr3_pb2.Ocr3PluginServiceObservationResponse:
        value = request.context.seq_nr + len(request.query)
        return ocr3_pb2.Ocr3PluginServiceObservationResponse(observation=value.to_bytes(WIDTH, "big"))

    async def validate_observation(
        self, request: ocr3_pb2.Ocr3PluginServiceValidateObservationRequest
    ) -> ocr3_pb2.Ocr3PluginServiceValidateObservationResponse:
        size = len(request.observation.observation)
        problem = "" if size == WIDTH else f"it has {size} bytes"
        return ocr3_pb2.Ocr3PluginServiceValidateObservationResponse(problem=problem)

    async def observation_quorum(
        self, request: ocr3_pb2.Ocr3PluginServiceObservationQuorumRequest
    ) -> ocr3_pb2.Ocr3PluginServiceObservationQuorumResponse:
        reached = len(request.observations) > 2 * self.f
        return ocr3_pb2.Ocr3PluginServiceObservationQuorumResponse(quorum_reached=reached)

    async def outcome(self, request: ocr3_pb2.Ocr3PluginServiceOutcomeRequest) -> ocr3_pb2.Ocr3PluginServiceOutcomeResponse:
        values = sorted(int.from_bytes(o.observation, "big") for o in request.observations if len(o.observation) == WIDTH)
        if len(values) <= self.f:
            raise RpcError(Code.INTERNAL, f"only {len(values)} of {len(request.observations)} observations are valid")
        if values[0] == 0:
            return ocr3_pb2.Ocr3PluginServiceOutcomeResponse()
        outcome = request.context.previous_outcome + values[len(values) // 2].to_bytes(WIDTH, "big")
        return ocr3_pb2.Ocr3PluginServiceOutcomeResponse(outcome=outcome[-WIDTH * KEPT :])

    async def reports(self, request: ocr3_pb2.Ocr3PluginServiceReportsRequest) -> ocr3_pb2.Ocr3PluginServiceReportsResponse:
        outcome = request.outcome
        if len(outcome) % WIDTH:
            raise RpcError(Code.INTERNAL, "the outcome is cut off")
        response = ocr3_pb2.Ocr3PluginServiceReportsResponse()
        for at in range(0, len(outcome), WIDTH):
            report = response.reports.add()
            report.report.report = outcome[at : at + WIDTH] + request.seq_nr.to_bytes(WIDTH, "big")
            if at == WIDTH:
                report.report.info = bytes([request.seq_nr % 256])
                report.schedule.transmitters.extend([3, 1])
                report.schedule.delays.extend([Duration(), Duration(nanos=request.seq_nr)])
        return response

    async def should_accept_attested_report(
        self, request: ocr3_pb2.Ocr3PluginServiceShouldAcceptAttestedReportRequest
    ) -> ocr3_pb2.Ocr3PluginServiceShouldAcceptAttestedReportResponse:
        return ocr3_pb2.Ocr3PluginServiceShouldAcceptAttestedReportResponse(should_accept=True)

    async def should_transmit_accepted_report(
        self, request: ocr3_pb2.Ocr3PluginServiceShouldTransmitAcceptedReportRequest
    ) -> ocr3_pb2.Ocr3PluginServiceShouldTransmitAcceptedReportResponse:
        return ocr3_pb2.Ocr3PluginServiceShouldTransmitAcceptedReportResponse(should_transmit=True)


class Factory(product_loop.ProductFactory):
    """Makes instances with the limits of the tests' median."""

    async def create_ocr3_plugin(
        self, request: ocr3_pb2.CreateOcr3PluginRequest
    ) -> tuple[ocr3_loop.Ocr3Plugin, ocr3_pb2.CreateOcr3PluginResponse]:
        return Instance(request.f), ocr3_pb2.CreateOcr3PluginResponse(
            product="fake",
            limits=ocr3_pb2.Ocr3PluginLimits(
                max_query_length=100,
                max_observation_length=100,
                max_outcome_length=1000,
                max_report_length=1000,
                max_report_count=3,
                max_report_info_length=10,
            ),
            observation_quorum=ocr3_pb2.OBSERVATION_QUORUM_CALL,
        )


class Product(product_loop.ProductService):
    def __init__(self, host: Host) -> None:
        self.host = host

    async def describe_product(self, request: product_pb2.DescribeProductRequest) -> product_pb2.DescribeProductResponse:
        return product_pb2.DescribeProductResponse(
            product="fake", ocr_versions=[product_pb2.OCR_VERSION_3], provider_types=["median"]
        )

    async def validate_product_job(
        self, request: product_pb2.ValidateProductJobRequest
    ) -> product_pb2.ValidateProductJobResponse:
        return product_pb2.ValidateProductJobResponse()

    async def create_product_factory(
        self, request: product_pb2.CreateProductFactoryRequest, loans: product_loop.CreateProductFactoryLoans
    ) -> tuple[product_loop.ProductFactory, product_pb2.CreateProductFactoryResponse]:
        return Factory(), product_pb2.CreateProductFactoryResponse()


if __name__ == "__main__":
    serve(Product, version="fake")
