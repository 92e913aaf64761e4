"""Header fields: a request's as gRPC reads them, and an answer's as header blocks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

from hpack import Encoder, NeverIndexedHeaderTuple

Fields = Sequence[tuple[bytes, bytes]]
"""Names and values as HPACK has them."""
Metadata = tuple[tuple[str, "str | bytes"], ...]
"""Trailers of a handler: text, or bytes under a name that ends with -bin."""

BINARY = "-bin"
METHOD, SCHEME, PATH, AUTHORITY = b":method", b":scheme", b":path", b":authority"
PSEUDO = frozenset((METHOD, SCHEME, PATH, AUTHORITY))
CONTENT_TYPE, TIMEOUT, ENCODING = b"content-type", b"grpc-timeout", b"grpc-encoding"
GRPC = b"application/grpc"
# HTTP/1.1's own, which HTTP/2 forbids.
FORBIDDEN = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# Characters of the message of a status: peers refuse headers beyond some KiB.
LONGEST_MESSAGE = 4096
# Every printable character but the percent sign, which gRPC escapes in the message of a status.
PLAIN = "".join(chr(c) for c in range(0x20, 0x7F) if c != 0x25)


class Malformed(Exception):
    """A request that is no HTTP/2: its stream is reset."""


class NotGrpc(Exception):
    """A request that is no call of gRPC: it is answered by a status of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Head:
    """The header fields of a request."""

    __slots__ = ("encoding", "fields", "path", "timeout")

    def __init__(self, fields: Fields) -> None:
        """Raises Malformed, or NotGrpc."""
        pseudo: dict[bytes, bytes] = {}
        content_type = self.encoding = b""
        self.timeout: float | None = None
        """Seconds; None: the caller set no deadline."""
        self.fields = fields
        regular = False
        for name, value in fields:
            if name in PSEUDO:
                if regular or name in pseudo:
                    raise Malformed
                pseudo[name] = value
                continue
            regular = True
            if name == TIMEOUT:
                self.timeout = seconds_of(value)
            elif name == CONTENT_TYPE:
                content_type = value
            elif name == ENCODING:
                self.encoding = value
            elif name in FORBIDDEN or not NAME.fullmatch(name):
                raise Malformed
        try:
            self.path = pseudo[PATH].decode("ascii")
            method = pseudo[METHOD]
        except (KeyError, UnicodeDecodeError):
            raise Malformed from None
        if SCHEME not in pseudo:
            raise Malformed
        if method != b"POST":
            raise NotGrpc(405)
        # With a suffix such as +proto, or parameters; application/grpc-web is another protocol.
        if not content_type.startswith(GRPC) or content_type[len(GRPC) :][:1] not in (b"", b"+", b";"):
            raise NotGrpc(415)

    def text(self, key: str) -> list[str]:
        """The values of a key that holds text."""
        name = key.encode()
        return [value.decode("latin-1") for k, value in self.fields if k == name]

    def binary(self, key: str) -> list[bytes]:
        """The values of a key that ends with -bin. What is no base64 is no value."""
        name, found = key.encode(), []
        for k, joined in self.fields:
            if k == name:
                for value in joined.split(b","):
                    try:
                        found.append(base64.b64decode(value.strip() + b"=" * (-len(value.strip()) % 4), validate=True))
                    except binascii.Error:
                        continue
        return found


def seconds_of(timeout: bytes) -> float:
    """The value of grpc-timeout. Raises Malformed."""
    digits, unit = timeout[:-1], SECONDS.get(timeout[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        raise Malformed
    return int(digits) * unit


@lru_cache(maxsize=256)
def block(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """A header block that neither reads nor changes the state of its connection, so that it is encoded once for all."""
    return bytes(Encoder().encode([NeverIndexedHeaderTuple(*field) for field in fields], huffman=False))


RESPONSE = ((b":status", b"200"), (CONTENT_TYPE, GRPC))


@lru_cache(maxsize=256)
def closing(code: int, message: str, metadata: Metadata, alone: bool) -> bytes:
    """The header block that ends a call; alone: nothing was answered before it."""
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", quote(message[:LONGEST_MESSAGE], safe=PLAIN, errors="replace").encode()))
    return block((*(RESPONSE if alone else ()), *fields, *encoded(metadata)))


def encoded(metadata: Iterable[tuple[str, str | bytes]]) -> Iterable[tuple[bytes, bytes]]:
    for key, value in metadata:
        if isinstance(value, bytes):
            yield key.encode(), base64.b64encode(value).rstrip(b"=")
        else:
            yield key.encode(), value.encode("latin-1", "replace")
