"""What a plugin has of its host."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from loop_plugin.binding import Caller
from loop_plugin.error import Code, RpcError

if TYPE_CHECKING:  # both cost a tenth of a second that `--version` need not pay
    from prometheus_client import CollectorRegistry

    from loop_contract.telemetry.v1.telemetry_loop import TelemetryServiceStub
    from loop_plugin.client import Connection

M = TypeVar("M", bound=Message)


class Host:
    """Made once per process, before the plugin's root."""

    def __init__(self, logger: logging.Logger) -> None:
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        self.logger: logging.Logger = logger
        """Logs to the host, which shows the lines at their level under the plugin's name. Values given as `extra` become
        attributes. Never log secrets."""
        self.registry: CollectorRegistry = CollectorRegistry()
        """Takes the plugin's metrics; the host serves them at /plugins/<name>/metrics."""
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._connection: Connection | None = None
        self._telemetry = ""

    @property
    def telemetry(self) -> TelemetryServiceStub:
        """Sends telemetry to the host. It never waits for whoever reads it."""
        from loop_contract.telemetry.v1.telemetry_loop import TelemetryServiceStub

        return TelemetryServiceStub(self.lent(self._telemetry))

    def lent(self, name: str) -> Caller:
        """Calls on an object that the host has lent. Constructors get theirs as typed clients and need not ask."""
        return _Lent(self, name)

    @property
    def initialised(self) -> bool:
        return self._connection is not None

    def connect(self, connection: Connection, telemetry: str) -> None:
        """Set the connection to the host, once."""
        self._connection, self._telemetry = connection, telemetry

    def connection(self) -> Connection:
        if self._connection is None:
            raise RpcError(Code.FAILED_PRECONDITION, "the host has not initialised this plugin yet")
        return self._connection


class _Lent:
    """A lent object, over the connection to the host whenever that comes."""

    def __init__(self, host: Host, name: str) -> None:
        self.host, self.name = host, name

    async def unary(self, method: str, request: Message, response: type[M], timeout: float | None) -> M:
        return await self.host.connection().object(self.name).unary(method, request, response, timeout)

    def stream(self, method: str, request: Message, response: type[M]) -> AsyncIterator[M]:
        return self.host.connection().object(self.name).stream(method, request, response)
