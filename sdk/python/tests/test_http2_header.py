"""Header fields of requests and answers."""

from __future__ import annotations

from typing import cast
from urllib.parse import unquote_to_bytes

import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from loop_plugin.http2.header import LONGEST_MESSAGE, Head, Malformed, NotGrpc, closing, seconds_of

GOOD = {b":method": b"POST", b":scheme": b"https", b":path": b"/a/B", b"content-type": b"application/grpc+proto"}


def head(*more: tuple[bytes, bytes], **changes: bytes | None) -> Head:
    fields = {**GOOD, **{(":" + name).encode(): value for name, value in changes.items()}}
    return Head([(name, value) for name, value in fields.items() if value is not None] + list(more))


def test_a_request() -> None:
    got = head(
        (b"grpc-timeout", b"250m"), (b"loop-object", b"o"), (b"x-bin", b"AQI, Aw=="), (b"x-bin", b"?"), (b"loop-object", b"p")
    )
    assert (got.path, got.timeout, got.encoding) == ("/a/B", 0.25, b"")
    assert got.text("loop-object") == ["o", "p"]
    assert got.binary("x-bin") == [b"\1\2", b"\3"]
    assert got.text("absent") == [] and head().timeout is None


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ((), {"path": None}),
        ((), {"method": None}),
        ((), {"scheme": None}),
        ((), {"path": b"\xff"}),
        (((b":path", b"/again"),), {}),
        (((b"x", b"y"), (b":authority", b"late")), {}),
        (((b":status", b"200"),), {}),
        (((b"Upper", b"case"),), {}),
        (((b"", b"nameless"),), {}),
        (((b"connection", b"close"),), {}),
        (((b"grpc-timeout", b"soon"),), {}),
    ],
)
def test_malformed_requests(fields: tuple[tuple[bytes, bytes], ...], changes: dict[str, bytes | None]) -> None:
    with pytest.raises(Malformed):
        head(*fields, **changes)


def test_what_is_not_grpc() -> None:
    with pytest.raises(NotGrpc) as caught:
        head(method=b"GET")
    assert caught.value.status == 405
    for content_type in ([], [(b"content-type", b"application/json")], [(b"content-type", b"application/grpc-web")]):
        with pytest.raises(NotGrpc) as caught:
            Head([(name, value) for name, value in GOOD.items() if name != b"content-type"] + content_type)
        assert caught.value.status == 415


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"40m", 0.04),
        (b"5u", 5e-6),
        (b"6n", 6e-9),
        (b"0S", 0),
        (b"99999999H", 359999996400),
    ],
)
def test_timeouts(text: bytes, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"S", b"1", b"1s", b"-1S", b"123456789S", b"1.5S", b" 1S"])
def test_timeouts_that_are_none(text: bytes) -> None:
    with pytest.raises(Malformed):
        seconds_of(text)


def decoded(block: bytes) -> dict[str, str]:
    return cast("dict[str, str]", dict(Decoder().decode(block)))


@given(st.text(max_size=100), st.integers(1, 16), st.booleans(), st.binary(max_size=50))
def test_the_end_of_a_call(message: str, code: int, alone: bool, details: bytes) -> None:
    block = closing(code, message, (("loop-generation", "3"), ("details-bin", details)), alone)
    got = decoded(block)
    assert got["grpc-status"] == str(code)
    escaped = got.get("grpc-message", "")
    assert all(" " <= c <= "~" for c in escaped)
    assert unquote_to_bytes(escaped).decode("utf-8") == message
    assert got["loop-generation"] == "3" and (":status" in got) == alone
    assert Head([*((n, v) for n, v in GOOD.items()), (b"details-bin", got["details-bin"].encode())]).binary("details-bin") == [
        details
    ]


def test_messages_are_cut_and_never_fail() -> None:
    got = decoded(closing(2, "x" * 100_000, (), True))
    assert len(got["grpc-message"]) == LONGEST_MESSAGE
    assert "grpc-message" in decoded(closing(2, "\ud800", (), True)), "half a character"
