"""The server over a socket and TLS, with grpc's own client at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loop_plugin.error import Code
from loop_plugin.handshake import KeyPair, new_key_pair
from loop_plugin.http2 import Call, Server, Status, context

LIMIT = 16 << 20


class Service:
    """What is served."""

    def __init__(self) -> None:
        self.begun, self.cancelled, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.handlers = {"/t/Echo": self.echo, "/t/Wait": self.wait, "/t/Count": self.count, "/t/Refuse": self.refuse}

    async def echo(self, message: bytes, call: Call) -> bytes:
        call.trailers = (("seen", ",".join(call.text("given"))), ("seen-bin", b"".join(call.binary("given-bin"))))
        return message

    async def wait(self, message: bytes, _: Call) -> bytes:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return message

    async def count(self, message: bytes, call: Call) -> None:
        for i in range(int(message)):
            await call.send(b"%d" % i)

    async def refuse(self, message: bytes, _: Call) -> bytes:
        raise Status(Code.FAILED_PRECONDITION, message.decode(), (("why-bin", b"\0\xff"),))


class Running:
    """A server, and what its client needs."""

    def __init__(self, folder: Path) -> None:
        self.service = Service()
        self.server = Server(self.service.handlers, LIMIT, logging.getLogger("http2"))
        self.path = str(folder / "s")
        self.own, self.host = new_key_pair(), new_key_pair()
        self.channels: list[grpc.aio.Channel] = []

    def channel(self, pair: KeyPair | None = None, /, **options: int) -> grpc.aio.Channel:
        pair = pair or self.host
        credentials = grpc.ssl_channel_credentials(self.own.certificate, pair.key, pair.certificate)
        given = [(f"grpc.{key}", value) for key, value in {"max_receive_message_length": -1, **options}.items()]
        names = [("grpc.ssl_target_name_override", "localhost"), ("grpc.default_authority", "localhost")]
        self.channels.append(grpc.aio.secure_channel("unix:" + self.path, credentials, [*names, *given]))
        return self.channels[-1]

    def method(self, name: str, channel: grpc.aio.Channel | None = None) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        return (channel or self.channel()).unary_unary("/t/" + name)


@pytest.fixture
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    made = Running(tmp_path_factory.mktemp("s"))
    await made.server.start(made.path, context(made.own.certificate, made.own.key, made.host.certificate))
    yield made
    for channel in made.channels:
        await channel.close()
    await made.server.stop(1)
    assert not made.server.connections and not Path(made.path).exists()  # noqa: ASYNC240


async def test_calls(running: Running) -> None:
    echo = running.method("Echo")
    for message in (b"", b"x", bytes(70_000)):
        call = echo(message, metadata=(("given", "a"), ("given", "b"), ("given-bin", b"\0\1\xff")), timeout=30)
        assert await call == message
        assert await call.code() is grpc.StatusCode.OK
        trailer = dict(await call.trailing_metadata() or ())
        assert trailer["seen"] == "a,b" and trailer["seen-bin"] == b"\0\1\xff"


@pytest.mark.parametrize("options", [{}, {"http2.lookahead_bytes": 16, "http2.bdp_probe": 0, "http2.max_frame_size": 16384}])
async def test_16_mib_both_ways(running: Running, options: dict[str, int]) -> None:
    """With a window of the client's own choice, and with one of a few bytes."""
    size = LIMIT if not options else 1 << 18
    message = bytes(range(256)) * (size // 256)
    call = running.method("Echo", running.channel(**options))
    assert await call(message, timeout=60) == message


async def test_one_byte_more(running: Running) -> None:
    channel = running.channel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.method("Echo", channel)(bytes(LIMIT + 1), timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"{LIMIT} bytes" in (caught.value.details() or "")
    assert await running.method("Echo", channel)(b"x") == b"x"


async def test_many_calls_at_once(running: Running) -> None:
    echo = running.method("Echo")
    messages = [bytes((i % 256,)) * (i * 37 % 40_000) for i in range(300)]

    async def make(message: bytes) -> bytes:
        return await echo(message, timeout=60)

    assert await asyncio.gather(*(make(m) for m in messages)) == messages


async def test_statuses(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.method("Refuse")("§ 100 % über\nlines".encode())
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "§ 100 % über\nlines"
    assert dict(caught.value.trailing_metadata() or ())["why-bin"] == b"\0\xff"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.method("Absent")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.method("Echo")(bytes(1000), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_cancellation_and_deadline(running: Running) -> None:
    wait = running.method("Wait")
    call = wait(b"")
    await asyncio.wait([asyncio.ensure_future(running.service.begun.wait())], timeout=30)
    call.cancel()
    await asyncio.wait_for(running.service.cancelled.wait(), 30)
    running.service.cancelled.clear()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wait(b"", timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(running.service.cancelled.wait(), 30)


async def test_streams(running: Running) -> None:
    multicallable: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = running.channel().unary_stream("/t/Count")
    assert [answer async for answer in multicallable(b"500")] == [b"%d" % i for i in range(500)]


async def test_stop_lets_calls_end(running: Running) -> None:
    wait = running.method("Wait")

    async def make() -> bytes:
        return await wait(b"kept")

    call = asyncio.create_task(make())
    await asyncio.wait_for(running.service.begun.wait(), 30)
    stopping = asyncio.create_task(running.server.stop(30))
    await asyncio.sleep(0.05)
    assert not stopping.done() and not call.done()
    running.service.go.set()
    assert await asyncio.wait_for(call, 30) == b"kept"
    await asyncio.wait_for(stopping, 20)


async def test_stop_cuts_off_what_does_not_end(running: Running) -> None:
    call = running.method("Wait")(b"")
    await asyncio.wait([asyncio.ensure_future(running.service.begun.wait())], timeout=30)
    await asyncio.wait_for(running.server.stop(0.1), 20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await asyncio.wait_for(running.service.cancelled.wait(), 20)


async def test_strangers_are_refused(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.method("Echo", running.channel(new_key_pair()))(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    async def read(tls: ssl.SSLContext | None, sent: bytes) -> bytes:
        """What a client gets that shows no certificate, or speaks no TLS."""
        reader, writer = await asyncio.open_unix_connection(running.path, ssl=tls, server_hostname="localhost" if tls else None)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()

    anonymous = ssl.create_default_context(cadata=running.own.certificate.decode())
    anonymous.set_alpn_protocols(["h2"])
    with contextlib.suppress(OSError):
        assert await read(anonymous, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == b""
    with contextlib.suppress(OSError):
        assert b"HTTP" not in await read(None, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert await running.method("Echo")(b"x", timeout=20) == b"x"


@pytest.mark.parametrize("since", [datetime.timedelta(days=-400), datetime.timedelta(days=400)])
async def test_clocks_stop_no_connection(tmp_path_factory: pytest.TempPathFactory, since: datetime.timedelta) -> None:
    """A host whose certificate is dated has had its clock set, or this machine has."""
    made = Running(tmp_path_factory.mktemp("s"))
    old = x509.load_pem_x509_certificate(made.host.certificate)
    key = serialization.load_pem_private_key(made.host.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    begin = datetime.datetime.now(datetime.timezone.utc) + since
    dated = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        old.public_key(),
        old.serial_number,
        begin,
        begin + datetime.timedelta(days=1),
        list(old.extensions),
    ).sign(key, hashes.SHA256())
    made.host = KeyPair(dated.public_bytes(serialization.Encoding.PEM), made.host.key, b"")
    await made.server.start(made.path, context(made.own.certificate, made.own.key, made.host.certificate))
    try:
        assert await made.method("Echo")(b"x", timeout=20) == b"x"
    finally:
        await made.channels[0].close()
        await made.server.stop(1)


def test_certificates_hold_at_every_time() -> None:
    """Hosts may look at the dates, and clocks step."""
    made = x509.load_der_x509_certificate(new_key_pair().der)
    assert made.not_valid_before_utc.timestamp() == 0
    assert made.not_valid_after_utc.isoformat() == "9999-12-31T23:59:59+00:00"


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = new_key_pair(), new_key_pair()
    with pytest.raises(OSError):
        context(one.certificate, other.key, other.certificate)
