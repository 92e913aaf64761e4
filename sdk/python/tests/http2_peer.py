"""A peer of the server in the test's own memory: it writes frames byte by byte, and reads those that come back."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Mapping
from typing import Any, cast

from hpack import Decoder, Encoder

from loop_plugin.http2 import Call, Handler, Server, frame
from loop_plugin.http2.connection import Connection
from loop_plugin.http2.frame import Reason

ECHO = "/test/Echo"
LIMIT = 1 << 16

Frame = tuple[int, int, int, bytes]


async def echo(message: bytes, call: Call) -> bytes:
    call.trailers = (("loop-generation", "3"),)
    return message


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, alpn: str | None = "h2") -> None:
        super().__init__()
        self.alpn, self.written, self.closed, self.reading = alpn, bytearray(), False, True
        self.writes = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "ssl_object" else default

    def selected_alpn_protocol(self) -> str | None:
        return self.alpn

    def write(self, data: Any) -> None:
        self.written += data
        self.writes += 1

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Peer:
    """A client's end of a connection."""

    def __init__(self, handlers: Mapping[str, Handler] | None = None, alpn: str | None = "h2") -> None:
        logger = logging.Logger("http2")
        self.log = Log()
        logger.addHandler(self.log)
        self.server = Server(handlers or {ECHO: echo}, LIMIT, logger)
        self.transport = Transport(alpn)
        self.connection = Connection(self.server)
        self.connection.connection_made(self.transport)
        self.encoder, self.decoder = Encoder(), Decoder()
        self.seen: list[Frame] = []

    def greet(self, **settings: int) -> None:
        self.raw(frame.PREFACE + frame.settings({getattr(frame, key): value for key, value in settings.items()}))

    def raw(self, data: bytes) -> None:
        self.connection.data_received(data)

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.raw(frame.frame(kind, flags, stream, payload))

    def block(self, *more: tuple[str, str], path: str = ECHO) -> bytes:
        fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        return bytes(self.encoder.encode([*fields, *more]))

    def begin(self, stream: int, *more: tuple[str, str], path: str = ECHO) -> None:
        self.send(frame.HEADERS, frame.END_HEADERS, stream, self.block(*more, path=path))

    def call(self, stream: int, message: bytes = b"hello", *more: tuple[str, str], path: str = ECHO) -> None:
        self.begin(stream, *more, path=path)
        self.send(frame.DATA, frame.END_STREAM, stream, prefixed(message))

    def frames(self) -> list[Frame]:
        """What has come since the last time."""
        reader = frame.Reader()
        reader.begun = True
        found = list(reader.frames(bytes(self.transport.written)))
        assert not reader.rest, "the server wrote half a frame"
        self.transport.written.clear()
        self.seen += found
        return found

    async def settled(self) -> list[Frame]:
        """What has come when everything that can run has run."""
        for _ in range(10):
            await asyncio.sleep(0)
        return self.frames()

    async def ended(self, stream: int) -> Answer:
        """Wait for the end of a call."""
        for _ in range(10_000):
            self.frames()
            mine = [f for f in self.seen if f[2] == stream]
            if any(kind == frame.RST_STREAM or flags & frame.END_STREAM for kind, flags, _, _ in mine):
                return Answer(self, mine)
            await asyncio.sleep(0.001)
        raise AssertionError(f"stream {stream} does not end")

    def goaway(self) -> Reason | None:
        """Why the server has ended the connection; None: it has not."""
        for kind, _, _, payload in self.frames():
            if kind == frame.GOAWAY:
                assert self.transport.closed
                return Reason(struct.unpack(">LL", payload[:8])[1])
        assert not self.transport.closed
        return None

    def faults(self) -> list[logging.LogRecord]:
        """What the server logged about its own faults."""
        return [record for record in self.log.records if record.levelno >= logging.ERROR]


class Answer:
    """What came on one stream."""

    def __init__(self, peer: Peer, frames: list[Frame]) -> None:
        self.data, self.reset = b"".join(payload for kind, _, _, payload in frames if kind == frame.DATA), None
        block = b""
        for kind, _, _, payload in frames:
            if kind == frame.RST_STREAM:
                self.reset = Reason(struct.unpack(">L", payload)[0])
            elif kind in (frame.HEADERS, frame.CONTINUATION):
                block += payload
        # No block of the server depends on another, so that they decode as one.
        self.headers = cast("dict[str, str]", dict(peer.decoder.decode(block)))

    @property
    def status(self) -> int:
        return int(self.headers["grpc-status"])

    @property
    def messages(self) -> list[bytes]:
        found, at = [], 0
        while at < len(self.data):
            size = struct.unpack_from(">L", self.data, at + 1)[0]
            found.append(self.data[at + 5 : at + 5 + size])
            at += 5 + size
        return found


def prefixed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BL", flag, len(message)) + message
