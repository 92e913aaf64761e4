"""The caller's end of the seam: calls on one object that keep the contract's deadlines, limits and field rules."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from loop_plugin import frames, tls, wire
from loop_plugin.error import Code, RpcError, refuse
from loop_plugin.rules import check

if TYPE_CHECKING:
    from loop_plugin.over_grpc import Channel

M = TypeVar("M", bound=Message)


class Connection:
    """A connection to a host, or in tests to a plugin. It implements binding.Caller for every object at its other end.

    Calls go as frames, over a connection that the first call makes, and that is made again after it broke. Streams go
    through the library grpc, and so do all calls if the other end has no frames.
    """

    def __init__(self, address: str, root_certificate: bytes, certificate: bytes, key: bytes) -> None:
        self.address, self.root_certificate, self.certificate, self.key = address, root_certificate, certificate, key
        self.context = tls.client_context(certificate, key, root_certificate, [frames.PROTOCOL, "h2"])
        self.framed = address.startswith("unix:")
        """Whether the other end has frames, as far as is known."""
        self.closed = False
        self._caller: frames.Caller | None = None
        self._dialing: asyncio.Task[frames.Caller | None] | None = None
        self._channel: Channel | None = None

    def object(self, name: str) -> Bound:
        return Bound(self, name)

    async def close(self) -> None:
        self.closed = True
        if self._dialing is not None:
            self._dialing.cancel()
        if self._caller is not None:
            self._caller.fail(ConnectionAbortedError("the connection was closed"))
        if self._channel is not None:
            await self._channel.close()

    def channel(self) -> Channel:
        """The connection of grpc. It is made by the first call."""
        if self.closed:
            raise RpcError(Code.UNAVAILABLE, "the connection to the host is closed")
        if self._channel is None:
            from loop_plugin.over_grpc import Channel

            self._channel = Channel(self.address, self.root_certificate, self.certificate, self.key)
        return self._channel

    async def unary(self, path: str, name: str, message: bytes, until: float | None) -> bytes:
        """Make a call on an object that ends at until, by time.monotonic(). Raises RpcError."""
        for _ in range(2):
            caller = self._caller
            if caller is None or caller.error is not None:
                caller = await self._connected(path, until)
            if caller is None:
                return await self.channel().unary(path, name, message, until)
            try:
                return await caller.call(path, name, message, until)
            except frames.Unsent as error:
                problem = str(error)
        raise RpcError(Code.UNAVAILABLE, f"the connection of {frames.PROTOCOL} broke: {problem}")

    async def _connected(self, path: str, until: float | None) -> frames.Caller | None:
        """The connection of frames; None: the other end has none. Callers wait for it together, each until its own deadline."""
        if not self.framed:
            return None
        if self.closed:
            raise RpcError(Code.UNAVAILABLE, "the connection to the host is closed")
        if self._dialing is None:
            self._dialing = asyncio.ensure_future(self._dial())
            self._dialing.add_done_callback(self._dialed)
        dialing = self._dialing
        await asyncio.wait([dialing], timeout=None if until is None else max(0.0, until - time.monotonic()))
        if self.closed:
            raise RpcError(Code.UNAVAILABLE, "the connection to the host is closed")
        if not dialing.done():
            raise RpcError(Code.DEADLINE_EXCEEDED, f"there was no connection for {path} by its deadline")
        try:
            return dialing.result()
        except (OSError, ssl.SSLError) as error:
            raise RpcError(Code.UNAVAILABLE, f"connecting by {frames.PROTOCOL} failed: {error}") from None

    async def _dial(self) -> frames.Caller | None:
        return await frames.dial(self.address.removeprefix("unix:").removeprefix("//"), self.context)

    def _dialed(self, dialing: asyncio.Task[frames.Caller | None]) -> None:
        self._dialing = None
        if dialing.cancelled() or dialing.exception() is not None:
            return
        self._caller = dialing.result()
        self.framed = self._caller is not None
        if self.closed and self._caller is not None:
            self._caller.fail(ConnectionAbortedError("the connection was closed"))


class Bound:
    """Calls to one object; with an empty name, to the root of a plugin."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection, self.name = connection, name

    async def unary(self, method: str, request: Message, response: type[M], timeout: float | None) -> M:
        encoded = encode(method, request)
        remaining = wire.time_remaining()
        if timeout is None:
            timeout = remaining if remaining is not None else wire.method_of(method).timeout
        elif remaining is not None:
            timeout = min(timeout, remaining)
        until = None if timeout is None else time.monotonic() + timeout
        return decode(method, await self.connection.unary(method, self.name, encoded, until), response)

    async def stream(self, method: str, request: Message, response: type[M]) -> AsyncIterator[M]:
        answers = self.connection.channel().stream(method, self.name, encode(method, request))
        try:
            async for answer in answers:
                yield decode(method, answer, response)
        finally:
            await answers.aclose()


def encode(method: str, request: Message) -> bytes:
    bad = check(request)
    if bad is not None:
        raise refuse(request, bad.field, bad.problem)
    encoded = request.SerializeToString()
    wire.check_size(method, "request", encoded)
    return encoded


def decode(method: str, encoded: bytes, response: type[M]) -> M:
    try:
        answer = response.FromString(encoded)
    except DecodeError as error:
        raise RpcError(Code.INTERNAL, f"the answer to {method} does not decode: {error}") from None
    bad = check(answer)
    if bad is not None:
        raise RpcError(Code.INTERNAL, f"the answer to {method} breaks the contract: {response.DESCRIPTOR.full_name}.{bad}")
    return answer
