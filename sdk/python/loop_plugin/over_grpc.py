"""Calls through the library grpc: for hosts without frames, and for streams, which frames do not carry.

Nothing imports this module before it is needed: importing grpc takes a good part of a plugin's start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, NoReturn, cast

import grpc
import grpc.aio

from loop_plugin import wire
from loop_plugin.call import Call, Handler, Metadata, Status, StreamHandler
from loop_plugin.error import Code, RpcError
from loop_plugin.frames.link import HANDSHAKE_TIMEOUT
from loop_plugin.handshake import KeyPair

MESSAGES = (
    ("grpc.max_send_message_length", wire.MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", wire.MAX_MESSAGE_BYTES),
)
# The certificate says localhost, the address is a path.
OPTIONS = (
    *MESSAGES,
    ("grpc.ssl_target_name_override", "localhost"),
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    # The longest there is: an idle channel hangs up, and the host's socket may be gone from its folder at the next
    # call.
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
)
# Whoever reaches the socket may connect. The library has no bound on handshakes alone, and a bound on all connections
# would have those who only connect keep the host away.
STRANGERS = (("grpc.server_handshake_timeout_ms", int(HANDSHAKE_TIMEOUT * 1000)),)
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[bytes, bytes]


# ---- The server ----


class Server(grpc.GenericRpcHandler):
    """Serves handlers on a socket of its own, to connections that are joined to it."""

    def __init__(
        self, handlers: Mapping[str, Handler], streams: Mapping[str, StreamHandler], pair: KeyPair, client: bytes
    ) -> None:
        self.methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for path, handler in handlers.items():
            self.methods[path] = grpc.unary_unary_rpc_method_handler(cast(Any, _unary(handler)))
        for path, stream in streams.items():
            self.methods[path] = grpc.unary_stream_rpc_method_handler(cast(Any, _stream(stream)))
        self.credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)], client, require_client_auth=True)
        self.path = ""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self.methods.get(handler_call_details.method)

    async def start(self, path: str) -> None:
        self.path = path
        self.server = grpc.aio.server(handlers=[self], options=(*MESSAGES, *STRANGERS))
        self.server.add_secure_port("unix:" + path, self.credentials)
        await self.server.start()

    async def stop(self, grace: float) -> None:
        await self.server.stop(grace)

    async def join(self, transport: asyncio.Transport, hello: bytes) -> None:
        """Connect a caller whose TLS handshake begins with hello, and is for grpc to answer. Raises OSError."""
        made, _ = await asyncio.get_running_loop().create_unix_connection(lambda: Pipe(transport), self.path)
        if transport.is_closing():
            made.close()
            return
        made.write(hello)
        transport.set_protocol(Pipe(made))
        transport.resume_reading()


class Pipe(asyncio.Protocol):
    """Passes on what arrives at one transport to another."""

    def __init__(self, other: asyncio.Transport) -> None:
        self.other = other

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def pause_writing(self) -> None:
        self.other.pause_reading()

    def resume_writing(self) -> None:
        self.other.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self.other.close()


def _unary(handler: Handler) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def serve(request: bytes, context: Context) -> bytes:
        call = _call_of(context)
        left = None if call.deadline is None else call.deadline - time.monotonic()
        try:
            answer = await asyncio.wait_for(handler(request, call), left)
        except asyncio.TimeoutError:
            await _abort(context, call, Status(Code.DEADLINE_EXCEEDED, "the call did not end before its deadline"))
        except Status as status:
            await _abort(context, call, status)
        context.set_trailing_metadata(_trailers(call))
        return answer

    return serve


def _stream(handler: StreamHandler) -> Callable[[bytes, Context], Awaitable[None]]:
    async def serve(request: bytes, context: Context) -> None:
        call = _call_of(context)
        try:
            await handler(request, call, context.write)
        except Status as status:
            await _abort(context, call, status)
        context.set_trailing_metadata(_trailers(call))

    return serve


def _call_of(context: Context) -> Call:
    left = context.time_remaining()
    given = tuple((key, value) for key, value in context.invocation_metadata() or () if isinstance(value, str))
    names = [value for key, value in given if key == wire.OBJECT_KEY]
    # At the deadline itself grpc's core resets the stream, which a caller takes for a cancellation if its own deadline has
    # not passed yet: the answer must come before that.
    deadline = None if left is None else time.monotonic() + left - max(0.005, 0.01 * left)
    rest = tuple(pair for pair in given if pair[0] != wire.OBJECT_KEY)
    return Call(deadline, names[0] if len(names) == 1 else "", rest)


def _trailers(call: Call) -> Metadata:
    if call.generation is None:
        return call.trailers
    return ((wire.GENERATION_KEY, str(call.generation or "")), *call.trailers)


# Characters of the message of a status: peers refuse headers beyond some KiB.
LONGEST_MESSAGE = 4096


async def _abort(context: Context, call: Call, status: Status) -> NoReturn:
    trailers: tuple[tuple[str, str | bytes], ...] = _trailers(call)
    if status.draining:
        trailers += ((wire.DRAINING_KEY, str(call.generation or "")),)
    if status.rich:
        trailers += (("grpc-status-details-bin", status.rich),)
    await context.abort(CODES[status.code], status.message[:LONGEST_MESSAGE], trailers)


# ---- The client ----


class Channel:
    """Makes calls to one server."""

    def __init__(self, address: str, root_certificate: bytes, certificate: bytes, key: bytes) -> None:
        credentials = grpc.ssl_channel_credentials(root_certificate, key, certificate)
        self.channel = grpc.aio.secure_channel(address, credentials, OPTIONS)
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    async def close(self) -> None:
        await self.channel.close()

    async def unary(self, path: str, name: str, message: bytes, until: float | None) -> bytes:
        """Make a call that ends at until, by time.monotonic(). Raises RpcError."""
        call = self._unary.get(path)
        if call is None:
            call = self._unary[path] = self.channel.unary_unary(path)
        began = time.monotonic()
        # grpc's core rounds up the timeouts that it sends, by less than this subtracts.
        timeout = None if until is None else max(0.0, until - began) * 0.99
        try:
            return await call(message, timeout=timeout, metadata=_metadata(name))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED and timeout is not None and time.monotonic() >= began + timeout:
                # At a call's deadline servers reset its stream, and on a busy machine that is seen before the deadline here.
                raise RpcError(Code.DEADLINE_EXCEEDED, f"{path} was not answered by its deadline") from None
            raise _rpc_error(error) from None
        except grpc.aio.UsageError:
            raise RpcError(Code.UNAVAILABLE, "the connection to the host is closed") from None

    async def stream(self, path: str, name: str, message: bytes) -> AsyncGenerator[bytes, None]:
        multicallable: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self.channel.unary_stream(path)
        call = multicallable(message, metadata=_metadata(name))
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise _rpc_error(error) from None
        finally:
            call.cancel()


def _metadata(name: str) -> tuple[tuple[str, str], ...]:
    return ((wire.OBJECT_KEY, name),) if name else ()


def _rpc_error(error: grpc.aio.AioRpcError) -> RpcError:
    number: int = error.code().value[0]
    return RpcError(Code(number), error.details() or "")
