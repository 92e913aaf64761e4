"""Calls by frames between both ends of the SDK: cancellation, deadlines, large messages, backpressure, loss."""

from __future__ import annotations

import asyncio
import time

import pytest
from frames_peer import Echo, pair, raw_caller, raw_server, until, wire_of

from loop_plugin.call import Call, Status
from loop_plugin.error import Code, RpcError
from loop_plugin.frames import Unsent, frame

ECHO, WAIT, HOLD = "/loop.test.Echo/Echo", "/loop.test.Echo/Wait", "/loop.test.Echo/Hold"


async def code_of(call: asyncio.Future[bytes]) -> Code:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value.code


def request(number: int, path: str, payload: bytes = b"", aux: int = 0) -> bytes:
    return frame.frame(frame.REQUEST, 0, number, aux, frame.text(path) + frame.text(""), payload)


# ---- Cancellation and deadlines ----


async def test_who_goes_cancels_the_handler_and_frees_the_call_with_its_answer() -> None:
    echo = Echo()
    caller, serving, _ = await pair(echo.handlers)
    call = asyncio.ensure_future(caller.call(WAIT, "", b"x", None))
    await echo.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(caller.open) == 1, "the id is free before its answer has come"
    await echo.cancelled.wait()
    assert await caller.call(ECHO, "", b"y", None) == b"y"
    assert not caller.open and not caller.bytes and not serving.open and not serving.bytes


async def test_a_deadline_ends_the_call_at_both_ends() -> None:
    echo = Echo()
    caller, serving, _ = await pair(echo.handlers)
    assert await code_of(asyncio.ensure_future(caller.call(WAIT, "", b"", time.monotonic() + 0.05))) is Code.DEADLINE_EXCEEDED
    await echo.cancelled.wait()
    assert await caller.call(ECHO, "", b"y", None) == b"y"
    assert not caller.open and not serving.open
    assert await code_of(asyncio.ensure_future(caller.call(ECHO, "", b"", time.monotonic()))) is Code.DEADLINE_EXCEEDED
    assert caller.error is None


async def test_the_server_keeps_the_deadline_by_itself() -> None:
    raw, _ = await raw_caller(Echo().handlers)
    raw.send(request(2, HOLD, aux=60_000_000) + request(1, HOLD, aux=20_000))
    kind, _, number, _, _, payload = await raw.frame()
    assert (kind, number) == (frame.ERROR, 1) and frame.decode_status(payload)[0] is Code.DEADLINE_EXCEEDED
    raw.send(request(3, HOLD, aux=60_000) + request(4, HOLD, aux=20_000) + request(5, HOLD, aux=90_000))
    ended = set()  # in any order: a busy loop finds several of them due
    for _ in range(3):
        kind, _, number, _, _, payload = await raw.frame()
        assert kind == frame.ERROR and frame.decode_status(payload)[0] is Code.DEADLINE_EXCEEDED
        ended.add(number)
    assert ended == {3, 4, 5}


async def test_a_cancel_that_comes_with_its_request_is_answered() -> None:
    """A task that is cancelled before its first step does nothing, not even answer."""
    raw, _ = await raw_caller(Echo().handlers)
    raw.send(request(1, HOLD) + frame.frame(frame.CANCEL, 0, 1, 0, b"", b""))
    kind, _, number, _, _, payload = await raw.frame()
    assert (kind, number) == (frame.ERROR, 1) and frame.decode_status(payload)[0] is Code.CANCELLED


async def test_a_handler_may_answer_in_spite_of_a_cancel() -> None:
    echo = Echo()
    raw, _ = await raw_caller(echo.handlers)
    raw.send(request(1, "/loop.test.Echo/Stubborn", b"kept"))
    await echo.begun.wait()
    raw.send(frame.frame(frame.CANCEL, 0, 1, 0, b"", b"") * 2)
    kind, _, number, _, _, payload = await raw.frame()
    assert (kind, number, payload) == (frame.RESPONSE, 1, b"kept")


async def test_a_cancel_does_not_cut_off_an_answer_that_waits_for_room() -> None:
    raw, owner = await raw_caller(Echo().handlers)
    (serving,) = owner.connections
    wire_of(serving).block()
    message = bytes(frame.MAX_PAYLOAD)
    for number in range(1, 21):
        raw.send(request(number, ECHO, message))
    await until(lambda: len(serving.room.waiting) == len(serving.open) > 0)
    for number in range(1, 21):
        raw.send(frame.frame(frame.CANCEL, 0, number, 0, b"", b""))
    raw.send(frame.frame(frame.REQUEST, 0, 21, 0, frame.text("/loop.test.Echo/Absent") + frame.text(""), b""))
    await until(lambda: 21 in serving.open)
    for _ in range(5):
        await asyncio.sleep(0)
    wire_of(serving).unblock()
    answers = [await raw.frame() for _ in range(21)]
    assert sorted(number for _, _, number, *_ in answers) == list(range(1, 22))
    assert sum(payload == message for *_, payload in answers) == 20


async def test_no_more_is_sent_of_a_call_that_is_late() -> None:
    raw, caller = await raw_server()
    call = asyncio.ensure_future(caller.call(ECHO, "", bytes(frame.MAX_MESSAGE), None))
    await until(lambda: bool(caller.open))
    caller._expire(caller.open[1], ECHO)  # as its timer does
    assert await code_of(call) is Code.DEADLINE_EXCEEDED
    chunks = 0
    while (await raw.frame())[0] != frame.CANCEL:
        chunks += 1
    assert chunks < frame.MAX_MESSAGE // frame.MAX_PAYLOAD


async def test_an_answer_that_crosses_a_cancel_is_dropped() -> None:
    raw, caller = await raw_server()
    call = asyncio.ensure_future(caller.call(ECHO, "", b"x", None))
    _, _, number, *_ = await raw.frame()
    call.cancel()
    assert (await raw.frame())[0] == frame.CANCEL
    message = bytes(40_000)
    head = frame.WORD.pack(len(message))
    raw.send(frame.frame(frame.RESPONSE, frame.MORE, number, 0, head, message[:30_000]))
    raw.send(frame.frame(frame.CHUNK, 0, number, 0, b"", message[30_000:]))
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not caller.open)
    assert caller.error is None and not caller.bytes


async def test_no_chunk_follows_a_cancel() -> None:
    raw, caller = await raw_server()
    wire_of(caller).block()
    call = asyncio.ensure_future(caller.call(ECHO, "", bytes(1 << 20), None))
    await until(lambda: caller.paused)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    wire_of(caller).unblock()
    kinds = [(await raw.frame())[0]]
    while kinds[-1] != frame.CANCEL:
        kinds.append((await raw.frame())[0])
    assert kinds[0] == frame.REQUEST and frame.CHUNK in kinds
    raw.send(frame.frame(frame.ERROR, 0, 1, 0, b"", frame.encode_status(Code.CANCELLED, "gone")))
    await until(lambda: not caller.open)
    assert not raw.received, "chunks after the cancel"


# ---- Messages ----


@pytest.mark.parametrize("size", [0, 1, frame.MAX_PAYLOAD, frame.MAX_PAYLOAD + 1, 3 * frame.MAX_PAYLOAD, frame.MAX_MESSAGE])
async def test_messages_of_any_size(size: int) -> None:
    caller, _, _ = await pair(Echo().handlers)
    message = (bytes(range(251)) * (size // 251 + 1))[:size]
    assert await caller.call(ECHO, "chain/é", message, time.monotonic() + 60) == message


async def test_small_calls_go_beside_large_ones() -> None:
    caller, _, _ = await pair(Echo().handlers)
    large = asyncio.ensure_future(caller.call(ECHO, "", bytes(frame.MAX_MESSAGE), None))
    small = 0
    while not large.done():
        assert await caller.call(ECHO, "", b"small", None) == b"small"
        small += 1
    assert small > 10


async def test_errors_and_trailers_fit_their_frames() -> None:
    async def serve(message: bytes, call: Call) -> bytes:
        call.trailers = (("large", "x" * 9000),)
        if message:
            raise Status(Code.ABORTED, "§" * 40_000, rich=bytes(40_000))
        return b"kept"

    caller, _, _ = await pair({"/t/T": serve})
    with pytest.raises(RpcError) as caught:
        await caller.call("/t/T", "", b"x", None)
    assert caught.value.code is Code.ABORTED and 1000 < len(caught.value.message) <= 4096
    assert await caller.call("/t/T", "", b"", None) == b"kept"
    with pytest.raises(RpcError) as caught:
        await caller.call("/t/" + "x" * 9000, "", b"", None)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


async def test_faults_of_handlers_and_unknown_methods_are_answered() -> None:
    async def fault(_: bytes, __: Call) -> bytes:
        raise ValueError("a secret")

    caller, _, owner = await pair({"/t/T": fault})
    with pytest.raises(RpcError) as caught:
        await caller.call("/t/T", "", b"", None)
    assert caught.value.code is Code.INTERNAL and "secret" not in caught.value.message and len(owner.lines) == 1
    assert await code_of(asyncio.ensure_future(caller.call("/t/U", "", b"", None))) is Code.UNIMPLEMENTED


# ---- Backpressure ----


async def test_answers_wait_for_a_caller_who_does_not_read() -> None:
    """The server goes on reading meanwhile: two sides that did not would wait for one another."""
    caller, serving, _ = await pair(Echo().handlers)
    wire_of(serving).block()
    message = bytes(frame.MAX_PAYLOAD)
    calls = [asyncio.ensure_future(caller.call(ECHO, "", message, None)) for _ in range(100)]
    await until(lambda: 0 < len(serving.open) == len(serving.room.waiting))
    queued = len(wire_of(serving).waiting)
    assert serving.paused and queued < 2 * frame.MAX_QUEUE, f"{queued} bytes are queued"
    wire_of(serving).unblock()
    assert await asyncio.gather(*calls) == [message] * len(calls)


async def test_both_sides_full_do_not_wait_for_one_another() -> None:
    caller, serving, _ = await pair(Echo().handlers)
    for end in (serving, caller):
        wire_of(end).block()
    message = bytes(1 << 20)
    calls = [asyncio.ensure_future(caller.call(ECHO, "", message, None)) for _ in range(4)]
    while not all(call.done() for call in calls):
        for end in (caller, serving):
            wire_of(end).unblock()
            wire_of(end).block()
            await asyncio.sleep(0)
    assert [call.result() for call in calls] == [message] * 4


async def test_a_caller_waits_for_his_turn_until_his_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MAX_OPEN", 2)
    echo = Echo()
    caller, serving, _ = await pair(echo.handlers)
    first = [asyncio.ensure_future(caller.call(HOLD, "", b"%d" % i, None)) for i in range(2)]
    late = asyncio.ensure_future(caller.call(ECHO, "", b"late", time.monotonic() + 0.05))
    gone = asyncio.ensure_future(caller.call(ECHO, "", b"gone", None))
    order: list[int] = []

    async def make(i: int) -> None:
        await caller.call(ECHO, "", b"x", None)
        order.append(i)

    behind = [asyncio.ensure_future(make(i)) for i in range(5)]
    assert await code_of(late) is Code.DEADLINE_EXCEEDED
    gone.cancel()
    assert len(serving.open) == 2 and not order
    echo.go.set()
    await asyncio.gather(*first, *behind)
    assert order == list(range(5)) and not caller.small.waiting


async def test_a_caller_waits_for_room_until_his_deadline() -> None:
    caller, _, _ = await pair(Echo().handlers)
    wire_of(caller).block()
    until = time.monotonic() + 0.1
    calls = [asyncio.ensure_future(caller.call(ECHO, "", bytes(1 << 20), until)) for _ in range(3)]
    assert [await code_of(call) for call in calls] == [Code.DEADLINE_EXCEEDED] * 3
    wire_of(caller).unblock()
    assert await caller.call(ECHO, "", b"x", None) == b"x"


async def test_bytes_of_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MAX_REQUESTED", 3 << 20)
    echo = Echo()
    caller, serving, _ = await pair(echo.handlers)
    calls = [asyncio.ensure_future(caller.call(HOLD, "", bytes(1 << 20), None)) for _ in range(5)]
    await until(lambda: len(serving.open) == 3 and not any(call.message for call in serving.open.values()))
    assert len(caller.open) == 3 and caller.bytes == 3 << 20
    echo.go.set()
    await asyncio.gather(*calls)
    assert caller.bytes == 0 == serving.bytes


async def test_small_calls_pass_long_ones_that_wait_for_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MAX_REQUESTED", 3 << 20)
    monkeypatch.setattr(frame, "MAX_PASSED", 3 * frame.MAX_PAYLOAD)
    echo = Echo()
    caller, serving, _ = await pair(echo.handlers)
    small = bytes(frame.MAX_PAYLOAD)

    def hold(message: bytes) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(caller.call(HOLD, "", message, None))

    calls = [hold(bytes(2 << 20))]
    await until(lambda: len(serving.open) == 1)
    waits = hold(bytes(2 << 20))
    await until(lambda: len(caller.slots.waiting) == 1)
    calls += [hold(small) for _ in range(2)]
    assert await caller.call(ECHO, "", small, time.monotonic() + 60) == small
    calls += [hold(small) for _ in range(2)]
    await until(lambda: len(caller.small.waiting) == 1)
    assert len(caller.open) == 4 and caller.passed == frame.MAX_PASSED, "more small calls pass than may"
    late = asyncio.ensure_future(caller.call(ECHO, "", b"x", time.monotonic() + 0.05))
    assert await code_of(late) is Code.DEADLINE_EXCEEDED
    waits.cancel()
    await until(lambda: len(serving.open) == 5)  # what waited behind it has its room
    echo.go.set()
    await asyncio.gather(*calls)
    assert caller.bytes == caller.passed == 0 == serving.bytes and not caller.small.waiting


@pytest.mark.parametrize(("limit", "value"), [("MAX_OPEN", 3), ("MAX_SERVED", 3 << 10)])
async def test_a_server_ends_a_caller_beyond_the_limits(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(frame, limit, value)
    echo = Echo()
    raw, owner = await raw_caller(echo.handlers)
    raw.send(b"".join(request(i, HOLD, bytes(1 << 10)) for i in range(1, 4)))
    await echo.begun.wait()
    assert owner.connections
    raw.send(request(4, HOLD, b"x"))
    await raw.ended.wait()
    assert not owner.connections


# ---- Loss and ends ----


async def test_loss_ends_all_calls_and_their_handlers() -> None:
    echo = Echo()
    caller, serving, owner = await pair(echo.handlers)
    calls = [asyncio.ensure_future(caller.call(HOLD, "", b"", None)) for _ in range(3)]
    await echo.begun.wait()
    wire_of(caller).block()
    calls += [asyncio.ensure_future(caller.call(ECHO, "", bytes(1 << 20), None)) for _ in range(3)]
    await until(lambda: caller.paused)
    serving.transport.abort()
    assert [await code_of(call) for call in calls] == [Code.UNAVAILABLE] * 6
    await echo.cancelled.wait()
    assert not serving.open and not owner.connections
    with pytest.raises(Unsent):
        await caller.call(ECHO, "", b"", None)
    await until(lambda: not owner.abandoned)
    assert not owner.lines


async def test_a_server_that_finishes_writes_its_answers_first() -> None:
    echo = Echo()
    caller, serving, owner = await pair(echo.handlers)
    call = asyncio.ensure_future(caller.call(HOLD, "", bytes(1 << 20), None))
    await echo.begun.wait()
    serving.finish()
    assert owner.connections
    echo.go.set()
    assert await call == bytes(1 << 20)
    await until(lambda: not owner.connections)
