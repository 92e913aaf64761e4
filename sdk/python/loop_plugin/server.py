"""Listens on a unix socket, for callers by frames and for those by gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loop_plugin import frames, tls
from loop_plugin.call import Handler, StreamHandler
from loop_plugin.handshake import KeyPair

if TYPE_CHECKING:
    from loop_plugin.over_grpc import Server as GrpcServer

# Seconds that connections get to close after the end of their grace.
CLOSE_TIMEOUT = 0.2
# How many connections may be shaking hands. Each is a descriptor, and whoever reaches the socket may connect: the oldest
# makes room for another, so that those who only connect keep no host away.
MAX_STRANGERS = 16


class Server:
    """Serves handlers, by the path of their method, to whoever connects with the client's certificate.

    Frames are served here. A caller who does not ask for them is handed to the server of the library grpc, which is
    started for the first one: a plugin that is called by frames starts without it.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        streams: Mapping[str, StreamHandler],
        pair: KeyPair,
        client: bytes,
        logger: logging.Logger,
    ) -> None:
        """client is the client's certificate in PEM."""
        self.handlers, self.streams, self.pair, self.client, self.logger = handlers, streams, pair, client, logger
        self.context = tls.server_context(pair.certificate, pair.key, client, [frames.PROTOCOL])
        self.connections: dict[frames.Serving, None] = {}  # oldest first
        self.abandoned: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._path = ""
        self._empty = asyncio.Event()
        self._grpc: asyncio.Task[GrpcServer] | None = None
        self._handing: set[asyncio.Task[None]] = set()

    async def start(self, path: str) -> None:
        self._path = path
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(lambda: frames.Serving(self, self.context), path)

    async def stop(self, grace: float) -> None:
        """Take no more callers, let the calls under way end within grace, in seconds, and cut off the rest."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.finish()
        await asyncio.gather(self._finished(grace), self._stop_grpc(grace))
        self._unlink()

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            Path(self._path).unlink()

    async def _finished(self, grace: float) -> None:
        if not await self._emptied(grace):
            for connection in list(self.connections):
                connection.fail(ConnectionAbortedError("the server has stopped"))
            await self._emptied(CLOSE_TIMEOUT)

    async def _emptied(self, within: float) -> bool:
        self._empty.clear()
        if self.connections:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), within)
        return not self.connections

    # ---- What connections report ----

    def opened(self, connection: frames.Serving) -> None:
        self.connections[connection] = None
        strangers = [other for other in self.connections if not other.shaken]
        if len(strangers) > MAX_STRANGERS:
            strangers[0].fail(ConnectionAbortedError("the connection made room for another before its handshake"))

    def closed(self, connection: frames.Serving) -> None:
        self.connections.pop(connection, None)
        if not self.connections:
            self._empty.set()

    def hand_over(self, transport: asyncio.Transport, hello: bytes) -> None:
        transport.pause_reading()
        task = asyncio.ensure_future(self._to_grpc(transport, hello))
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    async def _to_grpc(self, transport: asyncio.Transport, hello: bytes) -> None:
        if self._grpc is None:
            self._grpc = asyncio.ensure_future(self._start_grpc())
        try:
            server = await asyncio.shield(self._grpc)
            await server.join(transport, hello)
        except Exception:
            self.logger.exception("a caller's connection could not be handed to grpc")
            transport.abort()

    async def _start_grpc(self) -> GrpcServer:
        # In a thread: calls by frames are answered meanwhile.
        made = await asyncio.to_thread(_grpc_server)
        server = made(self.handlers, self.streams, self.pair, self.client)
        await server.start(self._path + GRPC_SUFFIX)
        return server

    async def _stop_grpc(self, grace: float) -> None:
        if self._grpc is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                server = await asyncio.wait_for(asyncio.shield(self._grpc), grace)
                await server.stop(grace)


# What is appended to this server's path for the socket of grpc's server.
GRPC_SUFFIX = "g"


def _grpc_server() -> type[GrpcServer]:
    from loop_plugin.over_grpc import Server

    return Server
