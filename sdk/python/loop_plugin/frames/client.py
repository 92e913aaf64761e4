"""The calling end of a connection."""

from __future__ import annotations

import asyncio
import ssl
import time

from loop_plugin.error import Code, RpcError
from loop_plugin.frames import frame
from loop_plugin.frames.frame import CHUNK, ERROR, LONGEST_AUX, MAX_HEAD, MAX_PAYLOAD, MORE, RESPONSE, WORD, Malformed, Message
from loop_plugin.frames.link import Line, Link, Unspoken


class Unsent(Exception):
    """The connection had ended before anything of a call was sent."""


class Outgoing:
    """A call that is not answered yet."""

    __slots__ = ("answer", "message", "number", "passed", "size")

    def __init__(self, number: int, answer: asyncio.Future[bytes], size: int, passed: bool) -> None:
        self.number, self.size, self.passed = number, size, passed
        self.answer = answer
        """It is also done as soon as the caller has left: what comes later is dropped."""
        self.message: Message | None = None  # of an answer that comes in chunks


class Caller(Link):
    """Makes calls to one server."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context, server_side=False)
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.open: dict[int, Outgoing] = {}
        self.last = 0
        self.bytes = 0  # of the requests that are not answered
        self.passed = 0  # of these the bytes of the calls that passed others
        # Calls that wait for room: long ones, and separately small ones, which need not wait for the bytes of long
        # ones.
        self.slots, self.small = Line(self.loop), Line(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.received(b"")  # which begins the handshake

    def agreed(self) -> None:
        self.ready.set_result(None)

    def lost(self, error: BaseException) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
        for call in self.open.values():
            if not call.answer.done():
                call.answer.set_exception(RpcError(Code.UNAVAILABLE, f"the connection of {frame.PROTOCOL} broke: {error}"))
        self.open.clear()
        self.bytes = self.passed = 0
        self.slots.wake()
        self.small.wake()

    def crowded(self) -> bool:
        return len(self.open) > 1

    # ---- Calls ----

    async def call(self, path: str, object_name: str, message: bytes, until: float | None) -> bytes:
        """Make a call that ends at until, by time.monotonic(). Raises RpcError, and Unsent."""
        call: Outgoing | None = None
        timer: asyncio.TimerHandle | None = None
        try:
            call = await self._begin(path, object_name, message, until)
            if until is not None:
                timer = self.loop.call_at(until, self._expire, call, path)
            if len(message) > MAX_PAYLOAD:
                await self._chunks(call, message, until)
            return await call.answer
        except asyncio.TimeoutError:
            raise _late(path) from None
        finally:
            if timer is not None:
                timer.cancel()
            if call is not None:
                self._leave(call)

    async def _begin(self, path: str, object_name: str, message: bytes, until: float | None) -> Outgoing:
        """Register a call and send the first frame of its request."""
        size, flags = len(message), 0
        head = frame.text(path) + frame.text(object_name)
        if len(head) > MAX_HEAD - WORD.size:
            raise RpcError(
                Code.RESOURCE_EXHAUSTED,
                f"method and object of a call have {len(head)} bytes; the limit is {MAX_HEAD - WORD.size}",
            )
        if size > MAX_PAYLOAD:
            flags, head = MORE, WORD.pack(size) + head
        slots = self.small if size <= MAX_PAYLOAD else self.slots
        behind = True  # those who wait already
        while self.error is None:
            if not self._free(size) or (behind and slots.waiting):
                try:
                    await slots.wait(lambda: self._free(size), until)
                finally:
                    self.small.wake()  # small calls may have waited until this one began or gave up
            elif not self.roomy() or (behind and self.room.waiting):
                await self.room.wait(self.roomy, until)
            else:
                break
            behind = False
        if self.error is not None:
            raise Unsent(str(self.error))
        aux = 0
        if until is not None:
            left = int((until - time.monotonic()) * 1e6)
            if left <= 0:
                raise _late(path)
            aux = left if left <= LONGEST_AUX else 0
        self.last = number = self.last % LONGEST_AUX + 1
        while number in self.open:
            self.last = number = self.last % LONGEST_AUX + 1
        call = self.open[number] = Outgoing(number, self.loop.create_future(), size, not self._shared(size))
        self.bytes += size
        if call.passed:
            self.passed += size
        self.send(frame.frame(frame.REQUEST, flags, number, aux, head, message[:MAX_PAYLOAD]))
        return call

    def _free(self, size: int) -> bool:
        if self.error is not None:
            return True
        passes = size <= MAX_PAYLOAD and self.passed + size <= frame.MAX_PASSED
        return len(self.open) < frame.MAX_OPEN and (passes or self._shared(size))

    def _shared(self, size: int) -> bool:
        """Whether the calls that passed nobody leave room: a small one takes none that a long one waits for."""
        behind = size <= MAX_PAYLOAD and bool(self.slots.waiting)
        return self.bytes - self.passed + size <= frame.MAX_REQUESTED and not behind

    async def _chunks(self, call: Outgoing, message: bytes, until: float | None) -> None:
        size = len(message)
        for at in range(MAX_PAYLOAD, size, MAX_PAYLOAD):
            await asyncio.sleep(0)  # others send their frames in between
            await self.room.wait(self.roomy, until)
            if call.answer.done():
                return
            flags = MORE if at + MAX_PAYLOAD < size else 0
            self.send(frame.frame(CHUNK, flags, call.number, 0, b"", message[at : at + MAX_PAYLOAD]))

    def _expire(self, call: Outgoing, path: str) -> None:
        if not call.answer.done():
            call.answer.set_exception(_late(path))

    def _leave(self, call: Outgoing) -> None:
        """Tell the server that the caller has gone; the answer, which comes all the same, frees the id."""
        if not call.answer.cancel() and not call.answer.cancelled():
            call.answer.exception()  # read, so that asyncio does not report it
        if self.open.get(call.number) is call:
            call.message = None
            self.send(frame.frame(frame.CANCEL, 0, call.number, 0, b"", b""))

    # ---- Answers ----

    def take(self, kind: int, flags: int, number: int, aux: int, head: bytes, payload: bytes) -> None:
        call = self.open.get(number)
        if call is None:
            raise Malformed(f"a frame of kind {kind} for call {number}, which is not open")
        more, gone, whole = bool(flags & MORE), call.answer.done(), payload
        if kind == CHUNK and (call.message is not None or gone):
            if call.message is not None:
                joined = call.message.add(payload, more)
                whole = joined if joined is not None else b""
        elif kind == RESPONSE and call.message is None:
            if more:
                message, head = frame.first_of(head, payload)
                call.message = None if gone else message
            frame.trailers_of(head)
        elif kind == ERROR and call.message is None and not more:
            frame.trailers_of(head)
        else:
            raise Malformed(f"a frame of kind {kind} with flags {flags} within an answer")
        if more:
            return
        error = frame.decode_status(payload) if kind == ERROR else None
        del self.open[number]
        self.bytes -= call.size
        if call.passed:
            self.passed -= call.size
        if not gone:
            if error is None:
                call.answer.set_result(whole)
            else:
                call.answer.set_exception(RpcError(*error))
        self.slots.wake()
        self.small.wake()


def _late(path: str) -> RpcError:
    return RpcError(Code.DEADLINE_EXCEEDED, f"{path} was not answered by its deadline")


async def dial(path: str, context: ssl.SSLContext) -> Caller | None:
    """Connect to a server of frames at a unix socket; None: it has none. Raises OSError and ssl.SSLError."""
    caller = Caller(context)
    await caller.loop.create_unix_connection(lambda: caller, path)
    try:
        await caller.ready
    except Unspoken:
        return None
    except asyncio.CancelledError as error:
        caller.fail(error)
        raise
    return caller
