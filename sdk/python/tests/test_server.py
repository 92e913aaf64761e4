"""The server on a socket, and the connection that calls it: which transport they choose, and whom they refuse."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from frames_peer import Echo, Owner, join

from loop_plugin import tls
from loop_plugin.call import Call, Send
from loop_plugin.client import Connection
from loop_plugin.error import Code, RpcError
from loop_plugin.frames import PROTOCOL, Serving, frame, link
from loop_plugin.handshake import KeyPair, new_key_pair
from loop_plugin.server import GRPC_SUFFIX, MAX_STRANGERS, Server

ECHO, HOLD = "/loop.test.Echo/Echo", "/loop.test.Echo/Hold"


async def count(message: bytes, _: Call, send: Send) -> None:
    for i in range(int(message)):
        await send(b"%d" % i)


class Running:
    """A server, and what its client needs."""

    def __init__(self, folder: Path, host: KeyPair | None = None) -> None:
        self.echo = Echo()
        self.own, self.host = new_key_pair(), host or new_key_pair()
        self.path = str(folder / "s")
        self.server = self.made()
        self.connections: list[Connection] = []

    def made(self) -> Server:
        streams = {"/loop.test.Echo/Count": count}
        return Server(self.echo.handlers, streams, self.own, self.host.certificate, logging.getLogger("server"))

    def connection(self, pair: KeyPair | None = None, framed: bool = True) -> Connection:
        pair = pair or self.host
        made = Connection("unix:" + self.path, self.own.certificate, pair.certificate, pair.key)
        made.framed = framed
        self.connections.append(made)
        return made

    async def stop(self) -> None:
        for connection in self.connections:
            await connection.close()
        await self.server.stop(1)
        assert not self.server.connections and not Path(self.path).exists()  # noqa: ASYNC240


@pytest.fixture
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    made = Running(tmp_path_factory.mktemp("s"))
    await made.server.start(made.path)
    yield made
    await made.stop()


async def fails(call: asyncio.Future[bytes]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value


def calling(connection: Connection, path: str, message: bytes = b"x", within: float = 60) -> asyncio.Future[bytes]:
    return asyncio.ensure_future(connection.unary(path, "object", message, time.monotonic() + within))


# ---- Which transport ----


async def chosen(running: Running, protocols: Sequence[str], most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str | None:
    """What ALPN chooses for a caller who offers these."""
    context = tls.client_context(running.host.certificate, running.host.key, running.own.certificate, protocols)
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, most
    _, writer = await asyncio.open_unix_connection(running.path, ssl=context, server_hostname="localhost")
    try:
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return found.selected_alpn_protocol()
    finally:
        writer.close()


async def test_alpn_chooses(running: Running) -> None:
    assert await chosen(running, [PROTOCOL, "h2"]) == PROTOCOL
    assert await chosen(running, ["h2", PROTOCOL]) == PROTOCOL, "the server prefers frames"
    assert await chosen(running, [PROTOCOL]) == PROTOCOL
    assert await chosen(running, ["h2"]) == "h2"
    assert await chosen(running, ["h2"], ssl.TLSVersion.TLSv1_2) == "h2"


async def test_frames_need_tls_1_3(running: Running) -> None:
    context = tls.client_context(running.host.certificate, running.host.key, running.own.certificate, [PROTOCOL])
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_unix_connection(running.path, ssl=context, server_hostname="localhost")
        writer.write(frame.frame(frame.REQUEST, 0, 1, 0, frame.text(ECHO) + frame.text(""), b"x"))
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


async def test_calls_and_streams_over_both(running: Running) -> None:
    for framed in (True, False):
        connection = running.connection(framed=framed)
        assert await calling(connection, ECHO) == b"x"
        error = await fails(calling(connection, "/loop.test.Echo/Fail"))
        assert error.code is Code.NOT_FOUND and error.message == "there is none"
        assert (await fails(calling(connection, "/loop.test.Echo/Absent"))).code is Code.UNIMPLEMENTED
        stream = connection.channel().stream("/loop.test.Echo/Count", "", b"500")
        assert [answer async for answer in stream] == [b"%d" % i for i in range(500)]
        assert connection.framed is framed


@pytest.mark.parametrize("framed", [True, False])
async def test_16_mib_both_ways(running: Running, framed: bool) -> None:
    message = bytes(range(256)) * (1 << 16)
    assert await calling(running.connection(framed=framed), ECHO, message) == message


async def test_a_hello_may_come_in_pieces(running: Running) -> None:
    for protocols in ([PROTOCOL, "h2"], ["h2"]):
        context = tls.client_context(running.host.certificate, running.host.key, running.own.certificate, protocols)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        reader, writer = await asyncio.open_unix_connection(running.path)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                hello = outgoing.read()
                for at in range(0, len(hello), 100):
                    writer.write(hello[at : at + 100])
                    await asyncio.sleep(0)
                incoming.write(await asyncio.wait_for(reader.read(1 << 16), 60))
        assert client.selected_alpn_protocol() == protocols[0]
        writer.close()


async def test_a_connection_goes_by_grpc_where_there_are_no_frames(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a server of the library alone, like a host that has frames turned off."""
    made = Running(tmp_path_factory.mktemp("s"))
    from loop_plugin.over_grpc import Server as GrpcServer

    server = GrpcServer(made.echo.handlers, {}, made.own, made.host.certificate)
    await server.start(made.path)
    connection = made.connection()
    assert await calling(connection, ECHO) == b"x" and not connection.framed
    assert (await fails(calling(connection, "/loop.test.Echo/Fail"))).code is Code.NOT_FOUND
    within = 0.1
    while not made.echo.begun.is_set():  # on a busy machine a deadline may pass before the handler begins
        error = await fails(calling(connection, HOLD, within=within))
        assert error.code is Code.DEADLINE_EXCEEDED
        within *= 2
    await asyncio.wait_for(made.echo.cancelled.wait(), 60)
    await connection.close()
    await server.stop(1)


@pytest.mark.parametrize(("left", "code"), [(0.0, Code.DEADLINE_EXCEEDED), (60.0, Code.CANCELLED), (None, Code.CANCELLED)])
async def test_a_stream_that_the_server_resets(tmp_path: Path, left: float | None, code: Code) -> None:
    """At a call's deadline servers reset its stream, which the library grpc takes for a cancellation if it comes first."""
    from grpc import StatusCode
    from grpc.aio import AioRpcError, Metadata

    from loop_plugin.over_grpc import Channel

    async def reset(*_: object, **__: object) -> bytes:
        raise AioRpcError(StatusCode.CANCELLED, Metadata(), Metadata(), "Received RST_STREAM with error code 8")

    pair = new_key_pair()
    channel = Channel("unix:" + str(tmp_path / "s"), pair.certificate, pair.certificate, pair.key)
    channel._unary[ECHO] = reset  # type: ignore[assignment]
    try:
        with pytest.raises(RpcError) as caught:
            await channel.unary(ECHO, "", b"", None if left is None else time.monotonic() + left)
        assert caught.value.code == code
    finally:
        await channel.close()


# ---- Loss ----


async def test_a_broken_connection_is_made_anew(running: Running) -> None:
    connection = running.connection()
    calls = [calling(connection, ECHO) for _ in range(10)]
    assert await asyncio.gather(*calls) == [b"x"] * 10
    assert len(running.server.connections) == 1, "callers that came together made several connections"
    held = calling(connection, HOLD)
    await running.echo.begun.wait()
    for made in list(running.server.connections):
        made.fail(ConnectionAbortedError("the test says so"))
    assert (await fails(held)).code is Code.UNAVAILABLE
    assert await calling(connection, ECHO) == b"x"
    await connection.close()
    assert (await fails(calling(connection, ECHO))).code is Code.UNAVAILABLE


@pytest.mark.parametrize("framed", [True, False])
async def test_who_is_not_there_is_unavailable(tmp_path: Path, framed: bool) -> None:
    own, host = new_key_pair(), new_key_pair()
    connection = Connection(f"unix:{tmp_path}/nobody", own.certificate, host.certificate, host.key)
    connection.framed = framed
    assert (await fails(calling(connection, ECHO))).code is Code.UNAVAILABLE
    await connection.close()


async def test_a_server_that_does_not_shake_hands_costs_the_deadline(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "s")
    silent = await asyncio.get_running_loop().create_unix_server(Silent, path)
    own, host = new_key_pair(), new_key_pair()
    connection = Connection("unix:" + path, own.certificate, host.certificate, host.key)
    assert (await fails(calling(connection, ECHO, within=0.1))).code is Code.DEADLINE_EXCEEDED
    await connection.close()
    silent.close()


# ---- The end ----


@pytest.mark.parametrize("framed", [True, False])
async def test_stop_lets_calls_end(running: Running, framed: bool) -> None:
    call = calling(running.connection(framed=framed), HOLD, b"kept")
    await asyncio.wait_for(running.echo.begun.wait(), 60)
    stopping = asyncio.create_task(running.server.stop(60))
    await asyncio.sleep(0.05)
    assert not stopping.done() and not call.done()
    running.echo.go.set()
    assert await call == b"kept"
    await asyncio.wait_for(stopping, 60)


@pytest.mark.parametrize("framed", [True, False])
async def test_stop_cuts_off_what_does_not_end(running: Running, framed: bool) -> None:
    call = calling(running.connection(framed=framed), HOLD)
    await asyncio.wait_for(running.echo.begun.wait(), 60)
    await asyncio.wait_for(running.server.stop(0.1), 60)
    assert (await fails(call)).code is Code.UNAVAILABLE
    await asyncio.wait_for(running.echo.cancelled.wait(), 60)


# ---- Who may call ----


async def test_strangers_are_refused(running: Running) -> None:
    for framed in (True, False):
        error = await fails(calling(running.connection(new_key_pair(), framed), ECHO, within=20))
        assert error.code is Code.UNAVAILABLE

    async def read(context: ssl.SSLContext | None, sent: bytes) -> bytes:
        """What a client gets if it shows no certificate, or does not speak TLS."""
        name = "localhost" if context else None
        reader, writer = await asyncio.open_unix_connection(running.path, ssl=context, server_hostname=name)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()

    for protocol, sent in (
        (PROTOCOL, frame.frame(frame.REQUEST, 0, 1, 0, frame.text(ECHO) + frame.text(""), b"x")),
        ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ):
        anonymous = ssl.create_default_context(cadata=running.own.certificate.decode())
        anonymous.set_alpn_protocols([protocol])
        with contextlib.suppress(OSError):
            assert await read(anonymous, sent) == b""
        with contextlib.suppress(OSError):
            assert len(await read(None, sent)) < 16, "more than an alert"
    assert await calling(running.connection(), ECHO) == b"x"


async def test_a_server_with_another_certificate_is_not_called(running: Running) -> None:
    other = new_key_pair()
    for framed in (True, False):
        connection = Connection("unix:" + running.path, other.certificate, running.host.certificate, running.host.key)
        connection.framed = framed
        assert (await fails(calling(connection, ECHO, within=20))).code is Code.UNAVAILABLE
        await connection.close()
    assert not running.echo.begun.is_set()


@pytest.mark.parametrize("since", [datetime.timedelta(days=-400), datetime.timedelta(days=400)])
async def test_clocks_stop_no_connection(tmp_path_factory: pytest.TempPathFactory, since: datetime.timedelta) -> None:
    """A host whose certificate is dated has had its clock set, or this machine has."""
    host = new_key_pair()
    old = x509.load_pem_x509_certificate(host.certificate)
    key = serialization.load_pem_private_key(host.key, None)
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
    made = Running(tmp_path_factory.mktemp("s"), KeyPair(dated.public_bytes(serialization.Encoding.PEM), host.key, b""))
    await made.server.start(made.path)
    assert await calling(made.connection(), ECHO) == b"x"
    await made.stop()


def test_certificates_hold_at_every_time() -> None:
    """Peers may look at the dates, and clocks step: the library grpc does."""
    made = x509.load_der_x509_certificate(new_key_pair().der)
    assert made.not_valid_before_utc.timestamp() == 0
    assert made.not_valid_after_utc.isoformat() == "9999-12-31T23:59:59+00:00"


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = new_key_pair(), new_key_pair()
    with pytest.raises(OSError):
        tls.server_context(one.certificate, other.key, other.certificate, [PROTOCOL])


class Silent(asyncio.Protocol):
    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()


async def test_who_does_not_shake_hands_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "HANDSHAKE_TIMEOUT", 0.01)
    owner, silent = Owner({}), Silent()
    join(Serving(owner, owner.context), silent)
    await silent.ended.wait()
    assert not owner.connections


# ---- Those who do not shake hands ----


async def silent(path: str, number: int, said: bytes = b"") -> list[asyncio.Task[bytes]]:
    """Connections that say one thing and no more, each as what waits for its end."""
    ends = []
    for _ in range(number):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(said)

        async def ended(reader: asyncio.StreamReader = reader, writer: asyncio.StreamWriter = writer) -> bytes:
            try:
                with contextlib.suppress(OSError):
                    return await reader.read()
                return b""
            finally:
                writer.close()

        ends.append(asyncio.ensure_future(ended()))
    return ends


async def ending(ends: list[asyncio.Task[bytes]], number: int, within: float) -> None:
    """Wait until so many of the connections have ended."""
    until = time.monotonic() + within
    while sum(end.done() for end in ends) < number:
        waiting = [end for end in ends if not end.done()]
        done, _ = await asyncio.wait(waiting, timeout=until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
        assert done, f"{len(ends) - len(waiting)} of {number} connections have ended in time"


async def test_strangers(running: Running) -> None:
    """Connections without a handshake are few, and keep no host away."""
    ends = await silent(running.path, 3 * MAX_STRANGERS)
    await ending(ends, 2 * MAX_STRANGERS, link.HANDSHAKE_TIMEOUT / 2)
    assert len(running.server.connections) == MAX_STRANGERS
    for framed in (True, False):
        assert await calling(running.connection(framed=framed), ECHO) == b"x"
    for end in ends:
        end.cancel()
    await asyncio.gather(*ends, return_exceptions=True)


async def test_strangers_of_grpc(running: Running) -> None:
    """The server of the library grpc gives a handshake as little time, and takes the host beside those who are silent."""
    assert await calling(running.connection(framed=False), ECHO) == b"x"
    ends = await silent(running.path + GRPC_SUFFIX, 80)
    assert await calling(running.connection(framed=False), ECHO) == b"x"
    await ending(ends, len(ends), 4 * link.HANDSHAKE_TIMEOUT)
    assert await calling(running.connection(framed=False), ECHO) == b"x"
