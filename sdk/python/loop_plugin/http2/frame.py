"""Frames of HTTP/2 (RFC 9113, sections 4 to 7) as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
# What every peer takes, and what is taken here: larger frames would only make one call wait longer for another.
MAX_FRAME = 1 << 14
LARGEST_WINDOW = (1 << 31) - 1
LARGEST_STREAM = (1 << 31) - 1
# Before a peer's settings say otherwise.
DEFAULT_WINDOW = (1 << 16) - 1
DEFAULT_TABLE = 4096

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

# The length has 24 bits: one byte and two.
_head = struct.Struct(">BHBBL")
_pair = struct.Struct(">HL")
_word = struct.Struct(">L")


class Reason(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFault(Exception):
    """The peer broke the protocol so that the connection has to end."""

    def __init__(self, reason: Reason, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason


class StreamFault(Exception):
    """The peer broke the protocol within one stream, which ends."""

    def __init__(self, stream: int, reason: Reason) -> None:
        super().__init__(reason.name)
        self.stream, self.reason = stream, reason


class Reader:
    """Cuts what arrives into frames. What is left of one that has not arrived whole waits; it is never more than a frame."""

    def __init__(self) -> None:
        self.rest = b""
        self.begun = False

    def frames(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """The kind, flags, stream and payload of each frame that is whole now. Raises ConnectionFault."""
        if self.rest:
            data, self.rest = self.rest + data, b""
        at, end = 0, len(data)
        if not self.begun:
            if not data.startswith(PREFACE[:end]):
                raise ConnectionFault(Reason.PROTOCOL_ERROR, "the peer does not speak HTTP/2")
            if end < len(PREFACE):
                self.rest = data
                return
            self.begun = True
            at = len(PREFACE)
        while end - at >= HEAD_BYTES:
            high, low, kind, flags, stream = _head.unpack_from(data, at)
            size = high << 16 | low
            if size > MAX_FRAME:
                raise ConnectionFault(Reason.FRAME_SIZE_ERROR, f"a frame has {size} bytes; the limit is {MAX_FRAME}")
            begin = at + HEAD_BYTES
            if end - begin < size:
                break
            at = begin + size
            # The first bit of the stream is reserved.
            yield kind, flags, stream & LARGEST_STREAM, data[begin:at]
        self.rest = data[at:]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return head(len(payload), kind, flags, stream) + payload


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload."""
    return _head.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def headers(stream: int, block: bytes, end: bool, longest: int) -> bytes:
    """A header block as HEADERS and as many CONTINUATION as a peer wants that takes no frame longer than that."""
    flags = END_STREAM if end else 0
    if len(block) <= longest:
        return head(len(block), HEADERS, flags | END_HEADERS, stream) + block
    parts = [block[at : at + longest] for at in range(0, len(block), longest)]
    frames = [frame(HEADERS, flags, stream, parts[0])]
    frames += [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream, parts[-1]))
    return b"".join(frames)


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_pair.pack(key, value) for key, value in values.items()))


def settings_in(payload: bytes) -> Iterator[tuple[int, int]]:
    """The settings of a peer. Raises ConnectionFault for values that may not be."""
    if len(payload) % _pair.size:
        raise ConnectionFault(Reason.FRAME_SIZE_ERROR, f"SETTINGS has {len(payload)} bytes")
    for key, value in _pair.iter_unpack(payload):
        if key == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise ConnectionFault(Reason.FLOW_CONTROL_ERROR, f"an initial window has {value} bytes")
        if key == MAX_FRAME_SIZE and not MAX_FRAME <= value < 1 << 24:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, f"a longest frame has {value} bytes")
        if key == ENABLE_PUSH and value > 1:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
        yield key, value


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _word.pack(increment))


def rst_stream(stream: int, reason: Reason) -> bytes:
    return frame(RST_STREAM, 0, stream, _word.pack(reason))


def goaway(last: int, reason: Reason, problem: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, _word.pack(last) + _word.pack(reason) + problem.encode()[:1024])


def word_in(kind: int, payload: bytes) -> int:
    """What RST_STREAM and WINDOW_UPDATE hold. Raises ConnectionFault."""
    if len(payload) != _word.size:
        raise ConnectionFault(Reason.FRAME_SIZE_ERROR, f"a frame of kind {kind} has {len(payload)} bytes; it must have 4")
    value: int = _word.unpack(payload)[0]
    return value


def content(flags: int, payload: bytes) -> bytes:
    """What DATA or HEADERS hold, without padding and priority. Raises ConnectionFault."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFault(Reason.FRAME_SIZE_ERROR, "a padded frame has no length of its padding")
        begin, end = 1, end - payload[0]
    if flags & WITH_PRIORITY:
        begin += 5
    if begin > end:
        raise ConnectionFault(Reason.PROTOCOL_ERROR, "the padding of a frame is longer than the frame")
    return payload[begin:end]
