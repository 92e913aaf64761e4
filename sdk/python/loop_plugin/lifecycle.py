"""The calls that every plugin answers beside its own: the contract's lifecycle, gRPC's health, and go-plugin's shutdown."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable

from loop_contract.plugin.v1 import lifecycle_pb2
from loop_contract.plugin.v1.lifecycle_loop import LifecycleService
from loop_plugin import wire
from loop_plugin.call import Call, Handler, Send, Status, StreamHandler
from loop_plugin.client import Connection
from loop_plugin.dispatch import Dispatcher
from loop_plugin.error import Code, RpcError, refuse
from loop_plugin.host import Host
from loop_plugin.task import start


class Lifecycle(LifecycleService):
    """Serves LifecycleService for every plugin."""

    def __init__(self, host: Host, dispatcher: Dispatcher, version: str, stop: Callable[[], None]) -> None:
        self.host, self.dispatcher, self.version, self.stop = host, dispatcher, version, stop
        self._ending: set[asyncio.Task[None]] = set()  # the event loop has only weak references to them

    async def init(self, request: lifecycle_pb2.InitRequest) -> lifecycle_pb2.InitResponse:
        check_certificates(request)
        if self.host.initialised:
            raise RpcError(Code.FAILED_PRECONDITION, "this process is already initialised")
        connection = Connection(
            request.host_address,
            request.host_certificate_pem.encode(),
            request.client_certificate_pem.encode(),
            request.client_key_pem.encode(),
        )
        self.host.connect(connection, request.telemetry)
        self.dispatcher.generation = request.generation
        self.host.logger.debug("initialised", extra={"generation": request.generation, "host": request.host_version})
        return lifecycle_pb2.InitResponse(
            version=self.version,
            runtime=f"{platform.python_implementation().lower()}{platform.python_version()} loop/v1",
        )

    async def release(self, request: lifecycle_pb2.ReleaseRequest) -> lifecycle_pb2.ReleaseResponse:
        await self.dispatcher.table.release(request.objects)
        return lifecycle_pb2.ReleaseResponse()

    async def collect_metrics(self, request: lifecycle_pb2.CollectMetricsRequest) -> lifecycle_pb2.CollectMetricsResponse:
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(request.accept)
        return lifecycle_pb2.CollectMetricsResponse(content_type=content_type, exposition=encode(self.host.registry))

    async def drain(self, request: lifecycle_pb2.DrainRequest) -> lifecycle_pb2.DrainResponse:
        await asyncio.shield(self.end(request.grace.seconds + request.grace.nanos / 1e9))
        return lifecycle_pb2.DrainResponse()

    def end(self, grace: float) -> asyncio.Task[None]:
        """Finish the calls in flight within grace, in seconds, close all objects and stop the server. The task goes on to
        the end though a caller's deadline passes."""
        task = start(self._end(grace))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _end(self, grace: float) -> None:
        if not await self.dispatcher.drain(grace, "the plugin is ending"):
            self.host.logger.warning("calls were still in flight when the plugin ended", extra={"grace_s": grace})
        await self.dispatcher.table.release_all()
        self.stop()


def check_certificates(request: lifecycle_pb2.InitRequest) -> None:
    """A connection would fail at the first call with certificates that do not parse; the host wants to know now."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        certificate = x509.load_pem_x509_certificate(request.client_certificate_pem.encode())
        key = load_pem_private_key(request.client_key_pem.encode(), None)
        if certificate.public_key().public_bytes(*spki) != key.public_key().public_bytes(*spki):
            raise ValueError("another key's certificate")
    except (ValueError, TypeError):
        raise refuse(request, "client_certificate_pem", "does not parse with its key") from None
    try:
        x509.load_pem_x509_certificate(request.host_certificate_pem.encode())
    except ValueError:
        raise refuse(request, "host_certificate_pem", "is not a certificate in PEM") from None


SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
# HealthCheckRequest for the process as a whole and for the name that go-plugin's hosts ask for.
KNOWN = (b"", b"\n\x06" + wire.HEALTH_SERVICE.encode())


class Beside:
    """grpc.health.v1 and go-plugin's GRPCController. GRPCStdio and GRPCBroker are UNIMPLEMENTED, which hosts accept.

    Health is answered on the event loop: a handler that blocks the loop is a hang, and the host ends the process for it.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.handlers: dict[str, Handler] = {
            "/grpc.health.v1.Health/Check": self.check,
            "/plugin.GRPCController/Shutdown": self.shutdown,
        }
        self.streams: dict[str, StreamHandler] = {"/grpc.health.v1.Health/Watch": self.watch}

    async def check(self, request: bytes, _: Call) -> bytes:
        if request not in KNOWN:
            raise Status(Code.NOT_FOUND, "unknown service")
        return SERVING

    async def watch(self, request: bytes, call: Call, send: Send) -> None:
        await send(await self.check(request, call))
        await asyncio.Event().wait()  # it serves as long as it runs

    async def shutdown(self, _: bytes, __: Call) -> bytes:
        self.stop()
        return b""
