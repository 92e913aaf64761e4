"""Frames as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop_plugin.http2 import frame
from loop_plugin.http2.frame import ConnectionFault, Reason

ANY_FRAME = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, frame.LARGEST_STREAM), st.binary(max_size=300))


@given(st.lists(ANY_FRAME, max_size=10), st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_frames_come_out_as_they_went_in(frames: list[tuple[int, int, int, bytes]], cuts: list[int]) -> None:
    data = frame.PREFACE + b"".join(frame.frame(*f) for f in frames)
    reader, got, at, turn = frame.Reader(), [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        got += list(reader.frames(data[at : at + size]))
        at, turn = at + size, turn + 1
    assert got == frames
    assert reader.rest == b""


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_fault(data: bytes) -> None:
    for begun in (False, True):
        reader = frame.Reader()
        reader.begun = begun
        try:
            for _, _, stream, payload in reader.frames(data):
                assert stream <= frame.LARGEST_STREAM and len(payload) <= frame.MAX_FRAME
        except ConnectionFault:
            continue
        assert len(reader.rest) < frame.MAX_FRAME + frame.HEAD_BYTES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Reason.PROTOCOL_ERROR),
        (frame.PREFACE + frame.head(frame.MAX_FRAME + 1, frame.DATA, 0, 1), Reason.FRAME_SIZE_ERROR),
    ],
)
def test_what_is_refused_at_once(data: bytes, reason: Reason) -> None:
    with pytest.raises(ConnectionFault) as caught:
        list(frame.Reader().frames(data))
    assert caught.value.reason is reason


@given(st.binary(max_size=300), st.integers(0, 255), st.integers(0, 255))
def test_padding_and_priority_are_taken_off(payload: bytes, padding: int, flags: int) -> None:
    priority = b"prior" if flags & frame.WITH_PRIORITY else b""
    before, after = (bytes((padding,)), bytes(padding)) if flags & frame.PADDED else (b"", b"")
    whole = before + priority + payload + after
    assert frame.content(flags, whole) == payload


@pytest.mark.parametrize(
    ("flags", "payload"),
    [(frame.PADDED, b""), (frame.PADDED, b"\x05abcd"), (frame.WITH_PRIORITY, b"abcd"), (frame.PADDED | 0x20, b"\x01abcde")],
)
def test_padding_that_is_too_long(flags: int, payload: bytes) -> None:
    with pytest.raises(ConnectionFault):
        frame.content(flags, payload)


@given(st.binary(min_size=1, max_size=500), st.integers(1, 100), st.booleans())
def test_long_header_blocks_continue(block: bytes, longest: int, end: bool) -> None:
    reader = frame.Reader()
    reader.begun = True
    frames = list(reader.frames(frame.headers(7, block, end, longest)))
    assert b"".join(payload for _, _, _, payload in frames) == block
    assert [kind for kind, _, _, _ in frames] == [frame.HEADERS] + [frame.CONTINUATION] * (len(frames) - 1)
    assert [bool(flags & frame.END_HEADERS) for _, flags, _, _ in frames] == [False] * (len(frames) - 1) + [True]
    assert bool(frames[0][1] & frame.END_STREAM) == end
    assert all(len(payload) <= longest and stream == 7 for _, _, stream, payload in frames)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"12345", Reason.FRAME_SIZE_ERROR),
        (b"\0\4\x80\0\0\0", Reason.FLOW_CONTROL_ERROR),
        (b"\0\5\0\0\0\1", Reason.PROTOCOL_ERROR),
        (b"\0\2\0\0\0\2", Reason.PROTOCOL_ERROR),
    ],
)
def test_settings_that_may_not_be(payload: bytes, reason: Reason) -> None:
    with pytest.raises(ConnectionFault) as caught:
        list(frame.settings_in(payload))
    assert caught.value.reason is reason
