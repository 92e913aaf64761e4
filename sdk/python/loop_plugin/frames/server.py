"""The serving end of a connection."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from loop_plugin.call import Call, Handler, Metadata, Status
from loop_plugin.error import Code
from loop_plugin.frames import frame
from loop_plugin.frames.frame import CHUNK, ERROR, LONGEST_AUX, MAX_HEAD, MAX_PAYLOAD, MORE, RESPONSE, WORD, Malformed, Message
from loop_plugin.frames.link import Link, Unspoken

# The least seconds between two checks of the deadlines of all calls.
EXPIRE_EVERY = 0.001


class Owner(Protocol):
    """The owner of connections."""

    handlers: Mapping[str, Handler]
    logger: logging.Logger
    abandoned: set[asyncio.Task[None]]
    """Handlers whose caller has gone: the event loop has only weak references to them."""

    def opened(self, connection: Serving) -> None: ...

    def closed(self, connection: Serving) -> None: ...

    def hand_over(self, transport: asyncio.Transport, hello: bytes) -> None:
        """Take a connection of a caller who does not ask for frames, and what it has sent."""


class Incoming(Call):
    """A call that is open."""

    __slots__ = ("expired", "message", "number", "path", "size", "task")

    def __init__(self, number: int, path: str, deadline: float | None, object_name: str, metadata: Metadata, size: int) -> None:
        self.deadline, self.over, self.object, self.metadata = deadline, False, object_name, metadata
        self.generation, self.trailers = None, ()
        self.number, self.path, self.size = number, path, size
        self.message: Message | None = None  # of a request that comes in chunks, until it is whole
        self.task: asyncio.Task[None] | None = None  # until there is something to answer
        self.expired = False

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Serving(Link):
    """Answers the calls of one caller."""

    def __init__(self, owner: Owner, context: ssl.SSLContext) -> None:
        super().__init__(context, server_side=True)
        self.owner, self.handlers = owner, owner.handlers
        self.open: dict[int, Incoming] = {}
        self.bytes = 0  # of the requests of open calls
        self.begun = 0  # calls that began with the piece that is being received
        # One timer serves all calls: it is set for the first deadline to come, and when it fires for the next one.
        self.timer: asyncio.TimerHandle | None = None
        self.due = math.inf
        self.ending = False
        # What the caller sent until it is known whether it asks for frames: others are handed over.
        self.hello: bytearray | None = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.owner.opened(self)

    def shake(self) -> bool:
        if self.hello is None:
            return super().shake()
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            asked = self.tls.selected_alpn_protocol() == frame.PROTOCOL
            if not asked and self.outgoing.pending:  # the hello was whole, and is answered without frames
                self._hand_over(bytes(self.hello))
                return False
            if not asked:
                raise
        self.hello = None
        return super().shake()

    def _hand_over(self, hello: bytes) -> None:
        self.error = Unspoken()
        self.calm()
        self.owner.closed(self)
        self.owner.hand_over(self.transport, hello)

    def take(self, kind: int, flags: int, number: int, aux: int, head: bytes, payload: bytes) -> None:
        if kind == frame.REQUEST:
            self._request(flags, number, aux, head, payload)
        elif kind == frame.CHUNK:
            call = self.open.get(number)
            if call is None or call.message is None:
                raise Malformed(f"a chunk for call {number}, which wants none")
            whole = call.message.add(payload, bool(flags & MORE))
            if whole is not None:
                call.message = None
                self._serve(call, whole)
        elif kind == frame.CANCEL:
            self._cancel(self.open.get(number))
        else:
            raise Malformed(f"a frame of kind {kind} from a caller")

    def _request(self, flags: int, number: int, aux: int, head: bytes, payload: bytes) -> None:
        message, size = None, len(payload)
        if flags & MORE:
            message, head = frame.first_of(head, payload)
            size = message.whole
        path, name, metadata = frame.request_of(head)
        if number in self.open:
            raise Malformed(f"call {number} is begun twice")
        if len(self.open) == frame.MAX_OPEN:
            raise Malformed(f"more than {frame.MAX_OPEN} calls are open")
        if self.bytes + size > frame.MAX_SERVED:
            raise Malformed(f"the open calls have more than {frame.MAX_SERVED} bytes")
        call = Incoming(number, path, time.monotonic() + aux / 1e6 if aux else None, name, metadata, size)
        self.open[number] = call
        self.bytes += size
        if message is None:
            self._serve(call, payload)
        else:
            call.message = message

    def _cancel(self, call: Incoming | None) -> None:
        if call is None:
            return  # it was answered meanwhile
        if call.message is not None:
            call.message = None
            self._start(call, self._refuse(call, Code.CANCELLED, "the request was not sent whole"))
        else:
            # After its first step: a task that is cancelled before it does nothing, not even answer.
            self.loop.call_soon(call.cancel)

    # ---- Calls that are whole ----

    def _serve(self, call: Incoming, message: bytes) -> None:
        handler = self.handlers.get(call.path)
        if handler is None:
            self._start(call, self._refuse(call, Code.UNIMPLEMENTED, f"unknown method {call.path}"))
        else:
            self._start(call, self._run(call, handler, message))

    def _start(self, call: Incoming, work: Coroutine[Any, Any, None]) -> None:
        call.task = self.loop.create_task(work)
        self.begun += 1
        if call.deadline is not None and call.deadline < self.due:
            self._expire_at(call.deadline)

    def received(self, data: memoryview | bytes) -> None:
        if self.hello is not None:
            self.hello += data
        self.begun = 0
        super().received(data)
        if self.begun > 1:
            self.hold()  # until after the first steps of the tasks: those that need not wait have answered by then

    def _expire_at(self, deadline: float) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.due = deadline
        self.timer = self.loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """End the calls whose deadline has passed."""
        now, self.due, self.timer = time.monotonic(), math.inf, None
        later = math.inf
        for call in self.open.values():
            if call.deadline is None or call.task is None or call.expired:
                continue
            if call.deadline <= now:
                call.expired = True
                self.loop.call_soon(call.cancel)  # as _cancel does
            else:
                later = min(later, call.deadline)
        if later < math.inf:
            self._expire_at(max(later, now + EXPIRE_EVERY))

    async def _run(self, call: Incoming, handler: Handler, message: bytes) -> None:
        try:
            kind, payload, flags = RESPONSE, await handler(message, call), 0
        except Status as status:
            kind, payload = ERROR, frame.encode_status(status.code, status.message, status.rich)
            flags = frame.DRAINING if status.draining else 0
        except asyncio.CancelledError:
            if self.error is not None:
                raise
            code, why = (Code.DEADLINE_EXCEEDED, "deadline") if call.expired else (Code.CANCELLED, "caller")
            kind, payload, flags = ERROR, frame.encode_status(code, f"the call ended with its {why}"), 0
        except Exception as error:
            self.owner.logger.exception("serving a call failed", extra={"method": call.path})
            kind, payload, flags = ERROR, frame.encode_status(Code.INTERNAL, type(error).__name__), 0
        await self._answer(call, kind, flags, payload)

    async def _refuse(self, call: Incoming, code: Code, message: str) -> None:
        await self._answer(call, ERROR, 0, frame.encode_status(code, message))

    async def _answer(self, call: Incoming, kind: int, flags: int, payload: bytes) -> None:
        call.task = None  # nobody cancels an answer
        head, aux, number, size = b"", 0, call.number, len(payload)
        if call.trailers:
            head = frame.pairs(call.trailers)
            if len(head) > MAX_HEAD - WORD.size:
                head = b""
        if call.generation is not None:
            flags, aux = flags | frame.GENERATION, min(call.generation, LONGEST_AUX)
        if self.paused or self.room.waiting:
            await self.room.wait(self.roomy)
        if size <= MAX_PAYLOAD:
            self._close(call)
            self.send(frame.frame(kind, flags, number, aux, head, payload))
            return
        self.send(frame.frame(kind, flags | MORE, number, aux, WORD.pack(size) + head, payload[:MAX_PAYLOAD]))
        for at in range(MAX_PAYLOAD, size, MAX_PAYLOAD):
            await asyncio.sleep(0)  # others send their frames in between
            await self.room.wait(self.roomy)
            last = at + MAX_PAYLOAD >= size
            if last:
                self._close(call)
            self.send(frame.frame(CHUNK, 0 if last else MORE, number, 0, b"", payload[at : at + MAX_PAYLOAD]))

    def _close(self, call: Incoming) -> None:
        """Free a call's id, with the last frame of its answer."""
        if self.open.pop(call.number, None) is not None:
            self.bytes -= call.size
        if self.ending and not self.open:
            self.loop.call_soon(self._hang_up)

    def crowded(self) -> bool:
        return len(self.open) > 0

    # ---- Ends ----

    def finish(self) -> None:
        """Hang up when every call is answered and every answer written."""
        self.ending = True
        if not self.open:
            self._hang_up()

    def _hang_up(self) -> None:
        self.flush()
        self.transport.close()

    def lost(self, error: BaseException) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for call in self.open.values():
            if call.task is not None:
                self.owner.abandoned.add(call.task)
                call.task.add_done_callback(self.owner.abandoned.discard)
                call.task.cancel()
        self.open.clear()
        if isinstance(error, Malformed):
            self.owner.logger.error(
                "a connection is closed", extra={"error": f"the other side broke {frame.PROTOCOL}: {error}"}
            )
        elif not isinstance(error, OSError):
            self.owner.logger.error("a connection is closed", exc_info=error)
        self.owner.closed(self)
