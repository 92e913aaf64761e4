"""One connection, frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest
from http2_peer import ECHO, LIMIT, Peer, prefixed
from hypothesis import given, settings
from hypothesis import strategies as st

from loop_plugin.error import Code
from loop_plugin.http2 import Call, Status, frame
from loop_plugin.http2.connection import CONNECTION_WINDOW, MAX_BLOCK, MAX_CALLS, MAX_DECODED, STREAM_WINDOW
from loop_plugin.http2.frame import Reason

DATA, HEADERS, PING = frame.DATA, frame.HEADERS, frame.PING
END, END_HEADERS = frame.END_STREAM, frame.END_HEADERS


def word(value: int) -> bytes:
    return struct.pack(">L", value)


async def test_a_call() -> None:
    peer = Peer()
    peer.greet()
    kinds = [(kind, flags, stream) for kind, flags, stream, _ in await peer.settled()]
    assert kinds == [(frame.SETTINGS, 0, 0), (frame.WINDOW_UPDATE, 0, 0), (frame.SETTINGS, frame.ACK, 0)]
    peer.call(1, b"hello")
    frames = await peer.settled()
    assert [(kind, flags) for kind, flags, _, _ in frames] == [(HEADERS, END_HEADERS), (DATA, 0), (HEADERS, END | END_HEADERS)]
    answer = await peer.ended(1)
    assert (answer.messages, answer.status, answer.reset) == ([b"hello"], 0, None)
    assert answer.headers[":status"] == "200" and answer.headers["content-type"] == "application/grpc"
    assert answer.headers["loop-generation"] == "3"


async def test_a_call_in_pieces() -> None:
    """Padding, priority, CONTINUATION, a message in many frames, frames of no kind known, and an end by trailers."""
    peer = Peer()
    peer.greet()
    block = peer.block()
    flags = frame.PADDED | frame.WITH_PRIORITY
    peer.send(HEADERS, flags, 1, b"\x03" + b"prior" + block[:10] + b"pad")
    peer.send(frame.CONTINUATION, 0, 1, block[10:20])
    peer.send(frame.CONTINUATION, END_HEADERS, 1, block[20:])
    peer.send(frame.PRIORITY, 0, 1, b"prior")
    peer.send(0xBE, 0xFF, 1, b"an extension")
    for byte in prefixed(b"in pieces"):
        peer.send(DATA, frame.PADDED, 1, b"\x02" + bytes((byte,)) + b"xx")
    peer.send(DATA, 0, 1, b"")
    peer.send(HEADERS, END | END_HEADERS, 1, peer.encoder.encode([("a-trailer", "x")]))
    answer = await peer.ended(1)
    assert (answer.status, answer.messages) == (0, [b"in pieces"])


@settings(max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_how_bytes_arrive_makes_no_difference(cuts: list[int]) -> None:
    async def run() -> None:
        peer = Peer()
        data = frame.PREFACE + frame.settings({})
        for stream in (1, 3):
            data += frame.frame(HEADERS, END_HEADERS, stream, peer.block())
            data += frame.frame(DATA, END, stream, prefixed(b"x" * stream))
        at = turn = 0
        while at < len(data):
            peer.raw(data[at : at + cuts[turn % len(cuts)]])
            at, turn = at + cuts[turn % len(cuts)], turn + 1
        for stream in (1, 3):
            assert (await peer.ended(stream)).messages == [b"x" * stream]

    asyncio.run(run())


# ---- How calls end ----


TOO_LARGE = f"{LIMIT + 1} bytes; the limit of a message is {LIMIT} bytes"


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (prefixed(bytes(LIMIT)), 0, ""),
        (prefixed(bytes(LIMIT + 1))[: LIMIT // 2], Code.RESOURCE_EXHAUSTED, TOO_LARGE),
        (prefixed(b"x", 1), Code.UNIMPLEMENTED, "compressed"),
        (prefixed(b"x", 2), Code.INTERNAL, "begins with 2"),
        (prefixed(b"x") + prefixed(b"y"), Code.INTERNAL, "one message"),
        (prefixed(b"xyz")[:-1], Code.INTERNAL, "one message"),
        (b"\0\0\0\0", Code.INTERNAL, "one message"),
        (b"", Code.INTERNAL, "one message"),
    ],
)
async def test_requests(data: bytes, code: int, says: str) -> None:
    peer = Peer()
    peer.greet()
    peer.send(frame.WINDOW_UPDATE, 0, 0, word(LIMIT * 2))
    peer.begin(1)
    peer.send(frame.WINDOW_UPDATE, 0, 1, word(LIMIT * 2))
    parts = [data[at : at + frame.MAX_FRAME] for at in range(0, len(data), frame.MAX_FRAME)] or [b""]
    for i, part in enumerate(parts):
        peer.send(DATA, END if i == len(parts) - 1 else 0, 1, part)
    answer = await peer.ended(1)
    assert answer.status == code and says in answer.headers.get("grpc-message", "")
    assert peer.goaway() is None
    peer.call(3)
    assert (await peer.ended(3)).status == 0


async def test_a_call_that_is_refused_early_is_reset() -> None:
    """So that the peer stops sending what nobody wants; what it has sent already counts and is welcome."""
    peer = Peer()
    peer.greet()
    peer.begin(1)
    peer.send(DATA, 0, 1, prefixed(bytes(LIMIT + 1))[:100])
    frames = await peer.settled()
    assert [kind for kind, _, _, _ in frames][-2:] == [HEADERS, frame.RST_STREAM]
    assert (await peer.ended(1)).reset is Reason.NO_ERROR
    before = peer.connection.receivable
    peer.send(DATA, END, 1, bytes(1000))
    assert peer.connection.receivable == before - 1000 and peer.goaway() is None


async def test_more_than_a_message_is_not_kept() -> None:
    """A peer that never ends its request may not fill the memory."""
    peer = Peer()
    peer.greet()
    peer.begin(1)
    peer.send(DATA, 0, 1, prefixed(b"x") + b"y")
    answer = await peer.ended(1)
    assert answer.status == Code.INTERNAL and "one message" in answer.headers["grpc-message"]


@pytest.mark.parametrize(
    ("fields", "code"), [([("grpc-encoding", "gzip")], Code.UNIMPLEMENTED), ([("grpc-encoding", "identity")], Code.OK)]
)
async def test_compression(fields: list[tuple[str, str]], code: Code) -> None:
    peer = Peer()
    peer.greet()
    peer.call(1, b"x", *fields)
    answer = await peer.ended(1)
    assert answer.status == code
    assert answer.headers.get("grpc-accept-encoding") == ("identity" if code else None)


async def test_unknown_methods_and_large_metadata() -> None:
    peer = Peer()
    peer.greet()
    peer.call(1, path="/no/Such")
    answer = await peer.ended(1)
    assert answer.status == Code.UNIMPLEMENTED and "/no/Such" in answer.headers["grpc-message"]
    peer.call(3, b"x", *[("many", "x" * 4000)] * 17)
    assert (await peer.ended(3)).status == Code.RESOURCE_EXHAUSTED
    peer.call(5, b"x", *[("many", "x" * 4000)] * 15)
    assert (await peer.ended(5)).status == 0


async def test_what_is_not_grpc() -> None:
    peer = Peer()
    peer.greet()
    peer.send(HEADERS, END | END_HEADERS, 1, peer.encoder.encode([(":method", "GET"), (":scheme", "https"), (":path", "/")]))
    assert (await peer.ended(1)).headers == {":status": "405"}
    peer.send(HEADERS, END | END_HEADERS, 3, peer.encoder.encode([(":method", "POST")]))
    assert (await peer.ended(3)).reset is Reason.PROTOCOL_ERROR
    peer.call(5)
    assert (await peer.ended(5)).status == 0


async def test_what_handlers_raise() -> None:
    async def refuse(_: bytes, __: Call) -> bytes:
        raise Status(Code.NOT_FOUND, "100 % not — there", (("details-bin", b"\0\1"),))

    async def fail(_: bytes, __: Call) -> bytes:
        raise SystemExit(7)

    async def cancel(_: bytes, __: Call) -> bytes:
        raise asyncio.CancelledError

    peer = Peer({"/a/Refuse": refuse, "/a/Fail": fail, "/a/Cancel": cancel})
    peer.greet()
    peer.call(1, path="/a/Refuse")
    answer = await peer.ended(1)
    assert (answer.status, answer.headers["grpc-message"]) == (Code.NOT_FOUND, "100 %25 not %E2%80%94 there")
    assert answer.headers["details-bin"] == "AAE" and answer.headers[":status"] == "200"
    peer.call(3, path="/a/Fail")
    assert (await peer.ended(3)).status == Code.INTERNAL
    assert len(peer.faults()) == 1
    peer.call(5, path="/a/Cancel")
    assert (await peer.ended(5)).status == Code.CANCELLED


class Waiting:
    """A handler that waits, and knows how it ended."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.cancelled = 0

    async def __call__(self, message: bytes, _: Call) -> bytes:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.ended.set()
        return message


async def test_a_reset_cancels_the_handler() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    peer.call(1)
    await waiting.begun.wait()
    peer.send(frame.RST_STREAM, 0, 1, word(Reason.CANCEL))
    await waiting.ended.wait()
    assert waiting.cancelled == 1
    assert [kind for kind, _, stream, _ in await peer.settled() if stream] == [], "an answer to a call that was reset"
    assert not peer.connection.calls and not peer.connection.tasks


async def test_a_reset_before_the_first_step() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    head = frame.frame(HEADERS, END_HEADERS, 1, peer.block()) + frame.frame(DATA, END, 1, prefixed(b""))
    peer.raw(head + frame.rst_stream(1, Reason.CANCEL))
    await peer.settled()
    assert not waiting.begun.is_set() and not peer.connection.tasks


async def test_a_lost_connection_cancels_handlers() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    peer.call(1)
    peer.begin(3)
    await waiting.begun.wait()
    peer.connection.connection_lost(None)
    await waiting.ended.wait()
    assert waiting.cancelled == 1 and not peer.connection.calls and not peer.server.connections


async def test_deadlines() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    peer.call(1, b"", ("grpc-timeout", "50m"))
    peer.begin(3, ("grpc-timeout", "20m"))  # whose message never comes
    answer = await peer.ended(1)
    assert answer.status == Code.DEADLINE_EXCEEDED
    await waiting.ended.wait()
    assert waiting.cancelled == 1
    assert (await peer.ended(3)).status == Code.DEADLINE_EXCEEDED


async def test_a_handler_that_swallows_its_cancellation_answers_nobody() -> None:
    ended = asyncio.Event()

    async def stubborn(message: bytes, call: Call) -> bytes:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        with pytest.raises(Status):
            await call.send(b"x")
        ended.set()
        return message

    peer = Peer({ECHO: stubborn})
    peer.greet()
    peer.call(1)
    await peer.settled()
    peer.send(frame.RST_STREAM, 0, 1, word(Reason.CANCEL))
    await ended.wait()
    assert [kind for kind, _, stream, _ in await peer.settled() if stream] == []


async def test_streams() -> None:
    async def count(_: bytes, call: Call) -> None:
        for i in range(3):
            await call.send(bytes((i,)))
            await asyncio.sleep(0)
        call.trailers = (("t", "x"),)

    async def fail(_: bytes, call: Call) -> None:
        await call.send(b"one")
        raise Status(Code.ABORTED, "enough")

    peer = Peer({"/a/Count": count, "/a/Fail": fail})
    peer.greet()
    peer.call(1, path="/a/Count")
    answer = await peer.ended(1)
    assert (answer.messages, answer.status, answer.headers["t"]) == ([b"\0", b"\1", b"\2"], 0, "x")
    peer.call(3, path="/a/Fail")
    answer = await peer.ended(3)
    assert (answer.messages, answer.status) == ([b"one"], Code.ABORTED)


async def test_many_calls_at_once() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    streams = range(1, 2 * MAX_CALLS, 2)
    for stream in streams:
        peer.call(stream, b"")
    peer.call(2 * MAX_CALLS + 1, b"")
    assert (await peer.ended(2 * MAX_CALLS + 1)).reset is Reason.REFUSED_STREAM
    # Those that were reset and whose handlers go on count: a peer cannot begin more by resetting.
    peer.send(frame.RST_STREAM, 0, 1, word(Reason.CANCEL))
    peer.call(2 * MAX_CALLS + 3, b"")
    assert (await peer.ended(2 * MAX_CALLS + 3)).reset is Reason.REFUSED_STREAM
    await peer.settled()
    waiting.go.set()
    frames = await peer.settled()
    assert len({stream for _, flags, stream, _ in frames if flags & END}) == MAX_CALLS - 1
    assert not peer.connection.calls and not peer.connection.tasks


# ---- Flow control ----


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(1, 100), st.lists(st.integers(1, 60), min_size=1, max_size=10))
def test_a_tiny_window(window: int, size: int, updates: list[int]) -> None:
    async def run() -> None:
        peer = Peer()
        peer.greet(INITIAL_WINDOW_SIZE=window)
        message = bytes(range(size))
        peer.call(1, message)
        turn, allowed = 0, window
        while not (ends := [f for f in await peer.settled() if f[1] & END and f[2]]):
            got = sum(len(payload) for kind, _, _, payload in peer.seen if kind == DATA)
            assert got == min(allowed, size + 5), "more than the window, or less than could be sent"
            allowed += updates[turn % len(updates)]
            peer.send(frame.WINDOW_UPDATE, 0, 1, word(updates[turn % len(updates)]))
            turn += 1
        assert len(ends) == 1
        assert (await peer.ended(1)).messages == [message]

    asyncio.run(run())


async def test_the_window_of_the_connection_is_shared() -> None:
    async def large(_: bytes, __: Call) -> bytes:
        return bytes(60_000)

    peer = Peer({ECHO: large})
    peer.greet(INITIAL_WINDOW_SIZE=1 << 20)
    for stream in (1, 3, 5):
        peer.call(stream, b"")
    frames = await peer.settled()
    assert sum(len(payload) for kind, _, _, payload in frames if kind == DATA) == frame.DEFAULT_WINDOW
    assert not [f for f in frames if f[0] == DATA and len(f[3]) > frame.MAX_FRAME]
    peer.send(frame.WINDOW_UPDATE, 0, 0, word(1 << 20))
    for stream in (1, 3, 5):
        assert (await peer.ended(stream)).messages == [bytes(60_000)]


async def test_settings_change_the_windows_of_calls_at_hand() -> None:
    peer = Peer()
    peer.greet(INITIAL_WINDOW_SIZE=20)
    peer.call(1, bytes(50))
    await peer.settled()
    peer.raw(frame.settings({frame.INITIAL_WINDOW_SIZE: 10}))  # which makes the window negative
    peer.send(frame.WINDOW_UPDATE, 0, 1, word(10))
    assert [f for f in await peer.settled() if f[0] == DATA] == []
    peer.raw(frame.settings({frame.INITIAL_WINDOW_SIZE: 100}))
    assert (await peer.ended(1)).messages == [bytes(50)]


async def test_a_stream_waits_for_its_peer() -> None:
    sent = 0

    async def flood(_: bytes, call: Call) -> None:
        nonlocal sent
        while True:
            await call.send(bytes(100))
            sent += 1

    peer = Peer({ECHO: flood})
    peer.greet(INITIAL_WINDOW_SIZE=1000)
    peer.call(1)
    await peer.settled()
    assert sent == 9, "nothing holds the handler"
    peer.send(frame.WINDOW_UPDATE, 0, 1, word(105))
    await peer.settled()
    assert sent == 10
    peer.send(frame.RST_STREAM, 0, 1, word(Reason.CANCEL))
    await peer.settled()
    assert not peer.connection.tasks and not peer.connection.outbound.blocked


async def test_a_peer_that_reads_nothing() -> None:
    peer = Peer()
    peer.greet()
    peer.frames()
    peer.connection.pause_writing()
    assert not peer.transport.reading, "it may send what must be answered, without end"
    peer.call(1, bytes(100))
    assert [f for f in await peer.settled() if f[0] == DATA] == []
    peer.connection.resume_writing()
    assert peer.transport.reading and (await peer.ended(1)).messages == [bytes(100)]


async def test_what_arrives_is_credited() -> None:
    peer = Peer()
    peer.server.limit = peer.connection.limit = 1 << 24
    peer.greet()
    peer.frames()
    peer.begin(1)
    credit = {0: CONNECTION_WINDOW, 1: STREAM_WINDOW}
    data = prefixed(bytes(2 * CONNECTION_WINDOW))
    for at in range(0, len(data), 10_000):
        part = data[at : at + 10_000]
        for stream in credit:
            credit[stream] -= len(part)
            assert credit[stream] >= 0, "the peer would be stuck"
        peer.send(DATA, END if at + 10_000 >= len(data) else 0, 1, part)
        for kind, _, stream, payload in peer.frames():
            if kind == frame.WINDOW_UPDATE:
                credit[stream] += struct.unpack(">L", payload)[0]
                assert credit[stream] <= {0: CONNECTION_WINDOW, 1: STREAM_WINDOW}[stream]
    peer.send(frame.WINDOW_UPDATE, 0, 0, word(1 << 25))
    peer.send(frame.WINDOW_UPDATE, 0, 1, word(1 << 25))
    assert len((await peer.ended(1)).data) == len(data)


async def test_more_than_the_window() -> None:
    peer = Peer()
    peer.server.limit = peer.connection.limit = 1 << 24
    peer.greet()
    peer.begin(1)
    peer.connection.calls[1].receivable = 100
    peer.send(DATA, 0, 1, prefixed(bytes(1000))[:101])
    assert (await peer.ended(1)).reset is Reason.FLOW_CONTROL_ERROR
    peer.begin(3)
    peer.connection.receivable = 100
    peer.send(DATA, 0, 3, bytes(101))
    assert peer.goaway() is Reason.FLOW_CONTROL_ERROR


# ---- The connection ----


async def test_pings() -> None:
    peer = Peer()
    peer.greet()
    peer.frames()
    peer.send(PING, 0, 0, b"12345678")
    peer.send(PING, frame.ACK, 0, b"unwanted")
    assert peer.frames() == [(PING, frame.ACK, 0, b"12345678")]


async def test_what_is_answered_together_leaves_together() -> None:
    """Each write costs a record of TLS and a call of the kernel."""
    peer = Peer()
    peer.greet()
    await peer.settled()
    before = peer.transport.writes
    calls = b"".join(
        frame.frame(HEADERS, END_HEADERS, stream, peer.block()) + frame.frame(DATA, END, stream, prefixed(b"x"))
        for stream in (1, 3, 5)
    )
    peer.raw(frame.frame(PING, 0, 0, b"12345678") + calls)
    frames = await peer.settled()
    assert len(frames) == 1 + 3 * 3 and peer.transport.writes == before + 1


async def test_a_smaller_table_is_acknowledged_once() -> None:
    peer = Peer()
    peer.greet(HEADER_TABLE_SIZE=0)
    peer.decoder.max_allowed_table_size = 0
    for stream in (1, 3):
        peer.call(stream)
        assert (await peer.ended(stream)).status == 0
    blocks = [payload for kind, _, _, payload in peer.seen if kind == HEADERS]
    assert [block[0] == 0x20 for block in blocks] == [True, False, False, False]


async def test_a_drain_takes_what_is_under_way() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    peer.call(1)
    await waiting.begun.wait()
    peer.frames()
    peer.connection.drain()
    frames = await peer.settled()
    assert [kind for kind, _, _, _ in frames] == [frame.GOAWAY, PING]
    assert frames[0][3][:8] == word(frame.LARGEST_STREAM) + word(0)
    peer.call(3)  # which the peer began before it knew
    peer.send(PING, frame.ACK, 0, frames[1][3])
    [(kind, _, _, payload)] = peer.frames()
    assert kind == frame.GOAWAY and payload[:8] == word(3) + word(0)
    peer.call(5)  # which it began although it knew
    waiting.go.set()
    frames = await peer.settled()
    assert {stream for _, flags, stream, _ in frames if flags & END} == {1, 3}
    assert peer.transport.closed


async def test_a_drain_of_nothing() -> None:
    peer = Peer()
    peer.greet()
    peer.connection.drain()
    await peer.settled()
    assert not peer.transport.closed
    peer.send(PING, frame.ACK, 0, b"draining")
    assert peer.transport.closed


async def test_a_cut() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    peer.call(1)
    await waiting.begun.wait()
    peer.connection.cut()
    assert (await peer.ended(1)).status == Code.UNAVAILABLE
    await waiting.ended.wait()
    assert waiting.cancelled == 1 and peer.transport.closed


async def test_other_protocols_are_refused() -> None:
    for alpn in ("http/1.1", None):
        peer = Peer(alpn=alpn)
        assert peer.transport.closed
        peer.greet()
        assert not peer.transport.written


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([(DATA, 0, 0, b"")], Reason.PROTOCOL_ERROR),
        ([(DATA, 0, 1, b"")], Reason.PROTOCOL_ERROR),
        ([(HEADERS, END_HEADERS, 2, b"")], Reason.PROTOCOL_ERROR),
        ([(HEADERS, END_HEADERS, 0, b"")], Reason.PROTOCOL_ERROR),
        ([(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff")], Reason.COMPRESSION_ERROR),
        ([(HEADERS, END_HEADERS, 1, b"\xbe")], Reason.COMPRESSION_ERROR),
        ([(HEADERS, 0, 1, b"\x82"), (PING, 0, 0, bytes(8))], Reason.PROTOCOL_ERROR),
        ([(HEADERS, 0, 1, b"\x82"), (frame.CONTINUATION, 0, 3, b"")], Reason.PROTOCOL_ERROR),
        ([(HEADERS, 0, 1, b"\x82")] + [(frame.CONTINUATION, 0, 1, bytes(1 << 14))] * 5, Reason.ENHANCE_YOUR_CALM),
        ([(frame.CONTINUATION, 0, 1, b"")], Reason.PROTOCOL_ERROR),
        ([(frame.PUSH_PROMISE, 0, 1, b"")], Reason.PROTOCOL_ERROR),
        ([(frame.SETTINGS, 0, 1, b"")], Reason.PROTOCOL_ERROR),
        ([(frame.SETTINGS, frame.ACK, 0, b"123456")], Reason.FRAME_SIZE_ERROR),
        ([(PING, 0, 1, bytes(8))], Reason.PROTOCOL_ERROR),
        ([(PING, 0, 0, bytes(7))], Reason.FRAME_SIZE_ERROR),
        ([(frame.GOAWAY, 0, 1, bytes(8))], Reason.PROTOCOL_ERROR),
        ([(frame.GOAWAY, 0, 0, bytes(7))], Reason.FRAME_SIZE_ERROR),
        ([(frame.RST_STREAM, 0, 0, bytes(4))], Reason.PROTOCOL_ERROR),
        ([(frame.RST_STREAM, 0, 1, bytes(4))], Reason.PROTOCOL_ERROR),
        ([(frame.RST_STREAM, 0, 1, bytes(3))], Reason.FRAME_SIZE_ERROR),
        ([(frame.PRIORITY, 0, 0, bytes(5))], Reason.PROTOCOL_ERROR),
        ([(frame.WINDOW_UPDATE, 0, 0, word(0))], Reason.PROTOCOL_ERROR),
        ([(frame.WINDOW_UPDATE, 0, 0, word(frame.LARGEST_WINDOW))], Reason.FLOW_CONTROL_ERROR),
        ([(frame.WINDOW_UPDATE, 0, 1, word(1))], Reason.PROTOCOL_ERROR),
        ([(frame.WINDOW_UPDATE, 0, 0, bytes(5))], Reason.FRAME_SIZE_ERROR),
    ],
)
async def test_faults_end_the_connection(frames: list[tuple[int, int, int, bytes]], reason: Reason) -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    for f in frames:
        peer.send(*f)
    assert peer.goaway() is reason
    assert not peer.faults()


async def test_faults_of_one_stream() -> None:
    waiting = Waiting()
    peer = Peer({ECHO: waiting})
    peer.greet()
    peer.call(1)
    await waiting.begun.wait()
    peer.send(DATA, 0, 1, b"after the end")
    assert (await peer.ended(1)).reset is Reason.STREAM_CLOSED
    await waiting.ended.wait()
    for stream, kind, flags, payload, reason in (
        (3, frame.WINDOW_UPDATE, 0, word(0), Reason.PROTOCOL_ERROR),
        (5, frame.WINDOW_UPDATE, 0, word(frame.LARGEST_WINDOW), Reason.FLOW_CONTROL_ERROR),
        (7, frame.PRIORITY, 0, bytes(4), Reason.FRAME_SIZE_ERROR),
        (9, HEADERS, END_HEADERS, b"", Reason.PROTOCOL_ERROR),
    ):
        peer.begin(stream)
        peer.send(kind, flags, stream, payload)
        assert (await peer.ended(stream)).reset is reason
    assert peer.goaway() is None
    # Frames of calls that have ended, which the peer sent before it knew.
    for kind, payload in ((DATA, b"late"), (frame.WINDOW_UPDATE, word(1)), (frame.RST_STREAM, word(8)), (HEADERS, b"")):
        peer.send(kind, END_HEADERS if kind == HEADERS else 0, 3, payload)
    assert peer.goaway() is None


async def test_the_first_frame_is_settings() -> None:
    peer = Peer()
    peer.raw(frame.PREFACE + frame.frame(PING, 0, 0, bytes(8)))
    assert peer.goaway() is Reason.PROTOCOL_ERROR


async def test_a_header_list_that_decodes_to_more_than_it_seems() -> None:
    peer = Peer()
    peer.greet()
    block = peer.encoder.encode([("x", "y" * 4000)]) + bytes([0xBE]) * (MAX_DECODED // 4000 + 1)
    assert len(block) < MAX_BLOCK
    peer.send(HEADERS, END_HEADERS, 1, block)
    assert peer.goaway() is Reason.ENHANCE_YOUR_CALM


KIND = st.sampled_from([*range(10), 0x42])
STREAM = st.sampled_from([0, 1, 1, 1, 2, 3, 5, 7])
PAYLOAD = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"", bytes(4), bytes(8), word(1), prefixed(b"abc"), b"\x82\x84\x87"])
)


@given(st.lists(st.tuples(KIND, st.integers(0, 63), STREAM, PAYLOAD), max_size=30), st.booleans())
def test_frames_of_any_kind_break_nothing(frames: list[tuple[int, int, int, bytes]], calls: bool) -> None:
    async def run() -> None:
        peer = Peer()
        peer.greet(INITIAL_WINDOW_SIZE=10)
        for i, (kind, flags, stream, payload) in enumerate(frames):
            if calls and kind == HEADERS:
                peer.call(2 * i + 1, payload)
            else:
                peer.send(kind, flags, stream, payload)
        await peer.settled()
        ended = [f for f in peer.seen if f[0] == frame.GOAWAY]
        assert peer.transport.closed == bool(ended)
        peer.connection.connection_lost(None)
        await peer.settled()
        assert not peer.connection.tasks and not peer.connection.calls and not peer.connection.outbound.blocked
        assert not peer.faults(), [record.getMessage() for record in peer.faults()]

    asyncio.run(run())


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_break_nothing(data: bytes) -> None:
    async def run() -> None:
        peer = Peer()
        peer.greet()
        peer.begin(1)
        peer.raw(data)
        await peer.settled()
        peer.connection.connection_lost(None)
        await peer.settled()
        assert not peer.faults()

    asyncio.run(run())
