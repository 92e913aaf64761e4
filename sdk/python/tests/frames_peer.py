"""The other end of a connection of frames: bytes in and out, over TLS in memory or over a socket."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loop_plugin import tls
from loop_plugin.call import Call, Handler, Status
from loop_plugin.error import Code
from loop_plugin.frames import PROTOCOL, Caller, Serving, frame
from loop_plugin.frames.link import Link
from loop_plugin.handshake import new_key_pair

VECTORS = Path(__file__).parents[3] / "proto/testdata/frames.json"

SERVER, CLIENT = new_key_pair(), new_key_pair()


def octets(text: str) -> bytes:
    """Bytes as the vectors write them: in hexadecimal digits, where xx*n is a byte n times."""
    found = b""
    for word in text.split():
        digits, _, times = word.partition("*")
        found += bytes.fromhex(digits) * int(times or 1)
    return found


def vectors() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(VECTORS.read_text())
    return read


class Echo:
    """The service of the vectors, with more methods that tests need."""

    def __init__(self) -> None:
        self.begun, self.cancelled, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.handlers: dict[str, Handler] = {
            f"/loop.test.Echo/{name}": serve
            for name, serve in {
                "Echo": self.echo,
                "Fail": self.fail,
                "Wait": self.wait,
                "Drain": self.drain,
                "Hold": self.hold,
                "Stubborn": self.stubborn,
            }.items()
        }

    async def echo(self, message: bytes, call: Call) -> bytes:
        call.generation = 7
        call.trailers = tuple(("echoed", value) for key, value in call.metadata if key == "traceparent")
        return message

    async def fail(self, _: bytes, call: Call) -> bytes:
        call.generation = 7
        raise Status(Code.NOT_FOUND, "there is none")

    async def wait(self, _: bytes, call: Call) -> bytes:
        call.generation = 7
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            if call.deadline is not None and time.monotonic() >= call.deadline:
                raise Status(Code.DEADLINE_EXCEEDED, "late") from None
            raise Status(Code.CANCELLED, "cancelled") from None
        raise AssertionError

    async def drain(self, _: bytes, call: Call) -> bytes:
        call.generation = 7
        raise Status(Code.UNAVAILABLE, "the plugin is ending", draining=True)

    async def hold(self, message: bytes, _: Call) -> bytes:
        """Answers when the test says so, and dies by a cancellation."""
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return message

    async def stubborn(self, message: bytes, _: Call) -> bytes:
        """Answers in spite of being cancelled."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
        return message


class Owner:
    """The owner of a server's connections."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers, self.logger, self.lines = handlers, logging.Logger("frames"), list[logging.LogRecord]()
        self.logger.addHandler(self)  # type: ignore[arg-type]
        self.level = 0
        self.abandoned: set[asyncio.Task[None]] = set()
        self.connections: set[Serving] = set()
        self.handed: list[bytes] = []
        self.context = tls.server_context(SERVER.certificate, SERVER.key, CLIENT.certificate, [PROTOCOL])

    def handle(self, record: logging.LogRecord) -> None:
        self.lines.append(record)

    def opened(self, connection: Serving) -> None:
        self.connections.add(connection)

    def closed(self, connection: Serving) -> None:
        self.connections.discard(connection)

    def hand_over(self, transport: asyncio.Transport, hello: bytes) -> None:
        self.handed.append(hello)
        transport.abort()


End = asyncio.Protocol | asyncio.BufferedProtocol


class Wire(asyncio.Transport):
    """A transport in the test's own memory. It carries to the other end, in the order of sending, when the loop comes to it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.other: End
        self.own: asyncio.BaseProtocol
        self.closed = False
        self.limit = 1 << 30
        self.blocked = False
        self.waiting = bytearray()
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limit = high or 0

    def block(self) -> None:
        """Take no more: the other end does not read."""
        self.blocked = True

    def unblock(self) -> None:
        self.blocked = False
        waiting, self.waiting = bytes(self.waiting), bytearray()
        self.loop.call_soon(self._carry, waiting)
        if self.paused:
            self.paused = False
            self.own.resume_writing()

    def write(self, data: Any) -> None:
        if self.closed:
            return
        if self.blocked:
            self.waiting += data
            if len(self.waiting) > self.limit and not self.paused:
                self.paused = True
                self.own.pause_writing()
            return
        self.loop.call_soon(self._carry, bytes(data))

    def _carry(self, data: bytes) -> None:
        if isinstance(self.other, asyncio.Protocol):
            if not self.closed:
                self.other.data_received(data)
            return
        while data and not self.closed:
            buffer = self.other.get_buffer(-1)
            taken = min(memoryview(buffer).nbytes, len(data))
            buffer[:taken], data = data[:taken], data[taken:]  # type: ignore[index]
            self.other.buffer_updated(taken)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.loop.call_soon(self._close)

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            self.own.connection_lost(None)
            self.other.connection_lost(None)

    abort = close


class Raw(asyncio.Protocol):
    """An end that speaks TLS by hand: tests write any bytes."""

    def __init__(self, context: ssl.SSLContext, server_side: bool) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, None if server_side else "localhost")
        self.transport: Wire
        self.received = bytearray()
        self.came = asyncio.Event()
        self.shaken = asyncio.Event()
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Wire)
        self.transport = transport
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        try:
            if not self.shaken.is_set():
                self.tls.do_handshake()
                self.shaken.set()
            while True:
                self.received += self.tls.read(1 << 14)
        except ssl.SSLWantReadError:
            pass
        self.came.set()
        if self.outgoing.pending:
            self.transport.write(self.outgoing.read())

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()
        self.came.set()

    def send(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            at += self.tls.write(data[at:])
        if data:
            self.transport.write(self.outgoing.read())

    async def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        while len(self.received) < size and not self.ended.is_set():
            self.came.clear()
            await self.came.wait()
        found = bytes(self.received[:size])
        del self.received[:size]
        return found

    async def frame(self) -> frame.Frame:
        """The next frame."""
        head = await self.read(4)
        return next(frame.Reader().frames(head + await self.read(int.from_bytes(head, "little"))))


def join(one: End, other: End) -> tuple[Wire, Wire]:
    """Connect two ends."""
    a, b = Wire(), Wire()
    a.own, a.other, b.own, b.other = one, other, other, one
    one.connection_made(a)
    other.connection_made(b)
    return a, b


def wire_of(end: Link) -> Wire:
    assert isinstance(end.transport, Wire)
    return end.transport


async def until(ok: Callable[[], bool]) -> None:
    """Let everything run until something holds."""
    while not ok():  # noqa: ASYNC110  # what is waited for is the inside of a connection, which has no event for it
        await asyncio.sleep(0)


def client_context(*protocols: str) -> ssl.SSLContext:
    return tls.client_context(CLIENT.certificate, CLIENT.key, SERVER.certificate, protocols or [PROTOCOL, "h2"])


async def raw_caller(handlers: Mapping[str, Handler]) -> tuple[Raw, Owner]:
    """A server and a caller that the test plays by hand."""
    owner = Owner(handlers)
    raw = Raw(client_context(), server_side=False)
    join(Serving(owner, owner.context), raw)
    await raw.shaken.wait()
    return raw, owner


async def raw_server() -> tuple[Raw, Caller]:
    """A caller and a server that the test plays by hand."""
    raw = Raw(tls.server_context(SERVER.certificate, SERVER.key, CLIENT.certificate, [PROTOCOL]), server_side=True)
    caller = Caller(client_context())
    join(raw, caller)
    await caller.ready
    return raw, caller


async def pair(handlers: Mapping[str, Handler]) -> tuple[Caller, Serving, Owner]:
    """Both ends of the SDK, connected."""
    owner = Owner(handlers)
    serving, caller = Serving(owner, owner.context), Caller(client_context())
    join(serving, caller)
    await caller.ready
    return caller, serving, owner
