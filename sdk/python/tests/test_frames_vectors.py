"""The vectors of the transport loop/1, which every implementation reads; and bytes of any kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from frames_peer import Echo, octets, raw_caller, raw_server, vectors
from hypothesis import given
from hypothesis import strategies as st

from loop_plugin.error import Code, RpcError
from loop_plugin.frames import frame

CONVERSATIONS: list[dict[str, Any]] = vectors()["conversations"]
MALFORMED: list[dict[str, Any]] = vectors()["malformed"]


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=named)
async def test_a_server_answers_byte_for_byte(conversation: dict[str, Any]) -> None:
    raw, owner = await raw_caller(Echo().handlers)
    for part in conversation["frames"]:
        data = octets(part["bytes"])
        if part["from"] == "caller":
            raw.send(data)
        else:
            assert await raw.read(len(data)) == data
    assert not owner.lines


@pytest.mark.parametrize("conversation", [c for c in CONVERSATIONS if c["caller"]], ids=named)
async def test_a_caller_sends_byte_for_byte(conversation: dict[str, Any]) -> None:
    request = b"".join(octets(f["bytes"]) for f in conversation["frames"] if f["from"] == "caller")
    answer = b"".join(octets(f["bytes"]) for f in conversation["frames"] if f["from"] == "server")
    frames = list(frame.Reader().frames(request))
    message = b"".join(payload for *_, payload in frames)
    _, flags, _, _, head, _ = frames[0]
    path, name, metadata = frame.request_of(head[4:] if flags & frame.MORE else head)
    if metadata:
        pytest.skip("callers of this SDK send no metadata")
    raw, caller = await raw_server()
    call = asyncio.ensure_future(caller.call(path, name, message, None))
    assert await raw.read(len(request)) == request
    raw.send(answer)
    want = {"error": Code.NOT_FOUND, "draining": Code.UNAVAILABLE}.get(conversation["name"])
    if want is None:
        assert await call == message
    else:
        with pytest.raises(RpcError) as caught:
            await call
        assert caught.value.code is want
    assert not caller.open and not caller.bytes


@pytest.mark.parametrize("vector", MALFORMED, ids=named)
async def test_a_server_ends_what_is_malformed(vector: dict[str, Any]) -> None:
    raw, owner = await raw_caller(Echo().handlers)
    raw.send(octets(vector["bytes"]))
    await raw.ended.wait()
    assert not raw.received and not owner.connections
    assert [line.msg for line in owner.lines] == ["a connection is closed"]


def answer(number: int, kind: int, flags: int, head: bytes = b"", payload: bytes = b"") -> bytes:
    return frame.frame(kind, flags, number, 0, head, payload)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer(9, frame.RESPONSE, 0), id="a call that is not open"),
        pytest.param(answer(1, frame.REQUEST, 0), id="a request"),
        pytest.param(answer(1, frame.CANCEL, 0), id="a cancel"),
        pytest.param(answer(1, 9, 0), id="an unknown kind"),
        pytest.param(answer(1, frame.CHUNK, 0, b"", b"x"), id="a chunk before a first frame"),
        pytest.param(answer(1, frame.ERROR, frame.MORE, b"\x09\0\0\0", b"x"), id="an error in chunks"),
        pytest.param(answer(1, frame.ERROR, 0, b"", b"\xff"), id="an error that does not decode"),
        pytest.param(answer(1, frame.ERROR, 0), id="an error of the code OK"),
        pytest.param(answer(1, frame.RESPONSE, 0, b"\x05\0x"), id="a trailer that is cut off"),
        pytest.param(answer(1, frame.RESPONSE, 0, b"\x01\0x"), id="a trailer without a value"),
        pytest.param(
            answer(1, frame.RESPONSE, frame.MORE, b"\x09\0\0\0", b"x") + answer(1, frame.RESPONSE, 0),
            id="a second answer in chunks",
        ),
        pytest.param(answer(1, frame.RESPONSE, frame.MORE, b"", b"x"), id="a message without a length"),
        pytest.param(answer(1, frame.RESPONSE, frame.MORE, b"\x01\0\0\x01", b"x"), id="a message above the limit"),
        pytest.param(
            answer(1, frame.RESPONSE, frame.MORE, b"\x03\0\0\0", b"x") + answer(1, frame.CHUNK, 0, b"", b"yzz"),
            id="a chunk too long",
        ),
        pytest.param(b"\xff\xff\xff\x7f", id="a frame too long"),
    ],
)
async def test_a_caller_ends_what_is_malformed(data: bytes) -> None:
    raw, caller = await raw_server()
    call = asyncio.ensure_future(caller.call("/loop.test.Echo/Echo", "", b"", None))
    await raw.frame()
    raw.send(data)
    with pytest.raises(RpcError, match=r"the connection of loop/1 broke") as caught:
        await call
    assert caught.value.code is Code.UNAVAILABLE and not caller.open
    await raw.ended.wait()


SEEDS = [octets(v["bytes"]) for c in CONVERSATIONS for v in c["frames"]] + [octets(v["bytes"]) for v in MALFORMED]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Frames of the vectors in any order, of which some are cut, and some have bytes changed."""
    data = bytearray()
    for seed in draw(st.lists(st.sampled_from(SEEDS), max_size=4)):
        begin = len(data)
        data += seed[: draw(st.integers(0, len(seed)))] if draw(st.integers(0, 3)) == 0 else seed
        for _ in range(draw(st.integers(0, 2))):
            if len(data) > begin:
                data[draw(st.integers(begin, min(len(data) - 1, begin + 40)))] = draw(st.integers(0, 255))
    return bytes(data) + draw(st.binary(max_size=40))


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


@given(mangled())
def test_no_bytes_break_a_server(data: bytes) -> None:
    """It ends the connection for what is malformed, and for no fault of its own; another caller is served."""

    async def play() -> None:
        raw, owner = await raw_caller(Echo().handlers)
        raw.send(data)
        probe = frame.frame(frame.REQUEST, 0, 77, 0, frame.text("/loop.test.Echo/Fail") + frame.text(""), b"")
        raw.send(probe)
        for _ in range(20):
            await asyncio.sleep(0)
        for line in owner.lines:
            assert line.exc_info is None, line.exc_info
        raw.transport.close()
        await raw.ended.wait()
        assert not owner.connections

    run(play())


@given(mangled())
def test_no_bytes_break_a_caller(data: bytes) -> None:
    """Each of its calls ends."""

    async def play() -> None:
        raw, caller = await raw_server()
        calls = [asyncio.ensure_future(caller.call("/loop.test.Echo/Echo", "", b"", None)) for _ in range(2)]
        await raw.frame()
        await raw.frame()
        raw.send(data)
        raw.transport.close()
        for call in calls:
            try:
                await call
            except RpcError as error:
                assert error.code is not Code.INTERNAL
        assert not caller.open and (caller.error is None or isinstance(caller.error, frame.Malformed | OSError)), caller.error

    run(play())


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 255), st.binary(max_size=30), st.binary(max_size=30))), st.data())
def test_frames_come_as_they_were_sent_however_they_are_cut(
    sent: list[tuple[int, int, bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(frame.frame(kind, 0, number, number, head, payload) for kind, number, head, payload in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader, found = frame.Reader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += list(reader.frames(stream[begin:end]))
    assert found == [(kind, 0, number, number, head, payload) for kind, number, head, payload in sent] and not reader.rest
