"""The caller's end of the seam: calls on one object that keep the contract's deadlines, limits and field rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from loop_plugin import wire
from loop_plugin.error import Code, RpcError, refuse
from loop_plugin.rules import check

M = TypeVar("M", bound=Message)

# The certificate says localhost, the address is a path.
OPTIONS = (
    ("grpc.ssl_target_name_override", "localhost"),
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    # The longest there is: whoever idles hangs up, and the host's socket may be gone from its folder when it calls again.
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
    ("grpc.max_send_message_length", wire.MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", wire.MAX_MESSAGE_BYTES),
)


class Connection:
    """A connection to a host, or in tests to a plugin. It implements binding.Caller for every object at its other end."""

    def __init__(self, address: str, root_certificate: bytes, certificate: bytes, key: bytes) -> None:
        credentials = grpc.ssl_channel_credentials(root_certificate, key, certificate)
        self.channel = grpc.aio.secure_channel(address, credentials, OPTIONS)
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def object(self, name: str) -> Bound:
        return Bound(self, name)

    async def close(self) -> None:
        await self.channel.close()

    def unary(self, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        call = self._unary.get(path)
        if call is None:
            call = self._unary[path] = self.channel.unary_unary(path)
        return call


class Bound:
    """Calls to one object; with an empty name, to the root of a plugin."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.metadata = ((wire.OBJECT_KEY, name),) if name else ()

    async def unary(self, method: str, request: Message, response: type[M], timeout: float | None) -> M:
        encoded = encode(method, request)
        remaining = wire.time_remaining()
        if timeout is None:
            timeout = remaining if remaining is not None else contract_timeout(method)
        elif remaining is not None:
            timeout = min(timeout, remaining)
        try:
            answer = await self.connection.unary(method)(encoded, timeout=timeout, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            raise rpc_error(error) from None
        except grpc.aio.UsageError:
            raise RpcError(Code.UNAVAILABLE, "the connection to the host is closed") from None
        return decode(method, answer, response)

    async def stream(self, method: str, request: Message, response: type[M]) -> AsyncIterator[M]:
        multicallable: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self.connection.channel.unary_stream(method)
        call = multicallable(encode(method, request), metadata=self.metadata)
        try:
            async for answer in call:
                yield decode(method, answer, response)
        except grpc.aio.AioRpcError as error:
            raise rpc_error(error) from None
        finally:
            call.cancel()


def contract_timeout(method: str) -> float | None:
    """The contract's deadline for a method. grpc's core rounds timeouts up on their way, by less than this takes off."""
    stated = wire.method_of(method).timeout
    return None if stated is None else stated * 0.99


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


def rpc_error(error: grpc.aio.AioRpcError) -> RpcError:
    number: int = error.code().value[0]
    return RpcError(Code(number), error.details() or "")
