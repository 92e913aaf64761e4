"""What goes over the wire: frames, the heads of first frames, and messages that come in chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

from loop_plugin.call import Metadata
from loop_plugin.error import Code

PROTOCOL = "loop/1"
"""The transport's name in ALPN."""

REQUEST, RESPONSE, ERROR, CANCEL, CHUNK = 1, 2, 3, 4, 5
MORE, DRAINING, GENERATION = 1, 2, 4

LENGTH = 4  # bytes of a frame's length, which does not count itself
MAX_HEAD = 8 << 10
MAX_PAYLOAD = 32 << 10
MAX_MESSAGE = 16 << 20
MAX_OPEN = 16384  # calls of a connection that are not answered
MAX_REQUESTED = 18 << 20  # bytes of their requests at the caller
MAX_PASSED = 2 << 20  # and of small ones that pass those who wait for bytes
MAX_SERVED = 24 << 20  # and at the server, who may not have written yet what the caller will count as answered
MAX_QUEUE = 256 << 10  # bytes that wait to be written before those who would add more wait too
LONGEST_AUX = (1 << 32) - 1

# length, id, kind, flags, length of the head, aux
HEADER = struct.Struct("<IIBBHI")
WORD, SHORT = struct.Struct("<I"), struct.Struct("<H")
LEAST, MOST = HEADER.size - LENGTH, HEADER.size - LENGTH + MAX_HEAD + MAX_PAYLOAD

# Bytes of an error's sentence that are kept if its status is too large for a frame.
KEPT_MESSAGE = 4 << 10

# Metadata that belongs to one connection, or has a place of its own in a frame.
OWN = frozenset({"loop-object", "loop-generation", "loop-draining", "content-type", "user-agent", "te", ""})

Frame = tuple[int, int, int, int, bytes, bytes]
"""Kind, flags, id, aux, head and payload."""


class Malformed(Exception):
    """The other side does not keep to the protocol."""


def frame(kind: int, flags: int, number: int, aux: int, head: bytes, payload: bytes) -> bytes:
    return HEADER.pack(LEAST + len(head) + len(payload), number, kind, flags, len(head), aux) + head + payload


class Reader:
    """Cuts frames out of what arrives."""

    def __init__(self) -> None:
        self.rest = b""

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The frames that data completes. Raises Malformed; then nothing more can be read."""
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        while end - at >= HEADER.size:
            length, number, kind, flags, size, aux = HEADER.unpack_from(data, at)
            if not LEAST <= length <= MOST or size > MAX_HEAD or not 0 <= length - LEAST - size <= MAX_PAYLOAD:
                raise Malformed(f"a frame of {length} bytes with a head of {size}")
            begin, stop = at + HEADER.size, at + LENGTH + length
            if stop > end:
                break
            yield kind, flags, number, aux, data[begin : begin + size], data[begin + size : stop]
            at = stop
        if LENGTH <= end - at < HEADER.size and not LEAST <= WORD.unpack_from(data, at)[0] <= MOST:
            raise Malformed("a frame shorter than its header, or longer than allowed")
        self.rest = data[at:] if at else data


class Message:
    """A message that comes in chunks."""

    __slots__ = ("parts", "size", "whole")

    def __init__(self, whole: int, first: bytes) -> None:
        self.whole, self.size, self.parts = whole, len(first), [first]

    def add(self, payload: bytes, more: bool) -> bytes | None:
        """Take a chunk, and return the message if that was the last one. Raises Malformed."""
        self.size += len(payload)
        if not payload or self.size > self.whole or more == (self.size == self.whole):
            raise Malformed(f"a chunk takes a message of {self.whole} bytes to {self.size} and says that more follow: {more}")
        self.parts.append(payload)
        return None if more else b"".join(self.parts)


def first_of(head: bytes, payload: bytes) -> tuple[Message, bytes]:
    """The message that a first frame with MORE begins, and its head after the message's length. Raises Malformed."""
    if len(head) < WORD.size:
        raise Malformed("a first frame has no place for the length of its message")
    (whole,) = WORD.unpack_from(head)
    if whole > MAX_MESSAGE:
        raise Malformed(f"a message of {whole} bytes is announced; the limit is {MAX_MESSAGE}")
    if not 0 < len(payload) < whole:
        raise Malformed(f"a message of {whole} bytes begins with {len(payload)} of them and says that more follow")
    return Message(whole, payload), head[WORD.size :]


def text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogateescape")
    return SHORT.pack(len(encoded)) + encoded


def _texts(head: bytes) -> list[str]:
    """The texts of a head. Raises Malformed."""
    found, at, end = [], 0, len(head)
    while at < end:
        stop = at + SHORT.size + (SHORT.unpack_from(head, at)[0] if end - at >= SHORT.size else 0)
        if stop > end or end - at < SHORT.size:
            raise Malformed("the head of a frame is cut off")
        found.append(head[at + SHORT.size : stop].decode("utf-8", "surrogateescape"))
        at = stop
    return found


def _foreign(key: str) -> bool:
    return key not in OWN and not key.startswith((":", "grpc-"))


def pairs(metadata: Iterable[tuple[str, str]]) -> bytes:
    """Metadata as a head has it."""
    return b"".join(text(key) + text(value) for key, value in metadata if _foreign(key))


def _paired(found: list[str]) -> Metadata:
    if len(found) % 2:
        raise Malformed("a key of the metadata has no value")
    return tuple((key, value) for key, value in zip(found[::2], found[1::2], strict=True) if _foreign(key))


def _request_of(head: bytes) -> tuple[str, str, Metadata]:
    found = _texts(head)
    if len(found) < 2:
        raise Malformed("the head of a request is cut off")
    return found[0], found[1], _paired(found[2:])


# Most heads of a connection come again and again: few methods of few objects.
_again = lru_cache(1024)(_request_of)
LONGEST_KEPT = 256


def request_of(head: bytes) -> tuple[str, str, Metadata]:
    """Method, object and metadata of a request. Raises Malformed."""
    return _again(head) if len(head) <= LONGEST_KEPT else _request_of(head)


def trailers_of(head: bytes) -> Metadata:
    """What an answer's head says. Raises Malformed."""
    return _paired(_texts(head)) if head else ()


def encode_status(code: int, message: str, rich: bytes = b"") -> bytes:
    """The payload of an error: rich, if that fits a frame; else the code and as much of the sentence as does."""
    from google.rpc import status_pb2

    if 0 < len(rich) <= MAX_PAYLOAD:
        return rich
    sentence = message.encode("utf-8", "replace")
    if len(sentence) > MAX_PAYLOAD // 2:
        sentence = sentence[:KEPT_MESSAGE]
    encoded: bytes = status_pb2.Status(code=code, message=sentence.decode("utf-8", "ignore")).SerializeToString()
    return encoded


def decode_status(payload: bytes) -> tuple[Code, str]:
    """The code and the sentence of an error. Raises Malformed."""
    from google.protobuf.message import DecodeError
    from google.rpc import status_pb2

    try:
        status = status_pb2.Status.FromString(payload)
    except DecodeError:
        raise Malformed("an error whose status does not decode") from None
    if status.code == Code.OK:
        raise Malformed("an error of the code OK")
    try:
        return Code(status.code), status.message
    except ValueError:  # a code that this version does not know
        return Code.UNKNOWN, status.message
