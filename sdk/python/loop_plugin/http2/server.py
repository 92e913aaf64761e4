"""Listens on a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Mapping
from pathlib import Path

from loop_plugin.http2.call import Handler
from loop_plugin.http2.connection import Connection

# Seconds that a peer may take to shake hands.
HANDSHAKE_TIMEOUT = 10.0
# Seconds that a peer may take to close its end of a connection after ours.
CLOSE_TIMEOUT = 0.2


class Server:
    """Serves handlers, by the path of their method, to whoever connects with the client's certificate."""

    def __init__(self, handlers: Mapping[str, Handler], limit: int, logger: logging.Logger) -> None:
        """limit is the size of the largest request, in bytes."""
        self.handlers, self.limit, self.logger = handlers, limit, logger
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._path = ""
        self._empty = asyncio.Event()

    async def start(self, path: str, context: ssl.SSLContext) -> None:
        self._path = path
        self._listener = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self), path, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
        )

    async def stop(self, grace: float) -> None:
        """Take no more calls, let those under way end within grace, in seconds, and cut off the rest."""
        if self._listener is not None:
            self._listener.close()
        for connection in self.connections:
            connection.drain()
        if not await self._emptied(grace):
            for connection in list(self.connections):
                connection.cut()
            if not await self._emptied(CLOSE_TIMEOUT):
                for connection in self.connections:
                    connection.transport.abort()
                await self._emptied(CLOSE_TIMEOUT)
        self._unlink()

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            Path(self._path).unlink()

    async def _emptied(self, within: float) -> bool:
        self._empty.clear()
        if self.connections:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), within)
        return not self.connections

    def lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()
