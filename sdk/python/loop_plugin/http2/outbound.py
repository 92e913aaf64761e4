"""What leaves on one connection, and how much of it the peer takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from loop_plugin.http2 import frame
from loop_plugin.http2.frame import ConnectionFault, Reason, StreamFault
from loop_plugin.http2.header import RESPONSE, block

if TYPE_CHECKING:
    from loop_plugin.http2.call import Call

# Bytes that are handed to TLS at once.
CHUNK = 1 << 18
RESPONSE_BLOCK = block(RESPONSE)


class Outbound:
    """Writes frames. Those of messages wait for the peer's windows, each call's in order and the calls in turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Callable[[Call], None]) -> None:
        """ended is told of each call whose end was written."""
        self.loop, self.ended = loop, ended
        self.transport: asyncio.Transport
        # How many bytes of messages the peer takes on the connection, and at first of each call.
        self.window = self.call_window = frame.DEFAULT_WINDOW
        self.prelude = b""  # goes before the next header block
        self.blocked: dict[int, Call] = {}  # calls with bytes that wait, by stream
        self.out: list[bytes | memoryview] = []
        self.held = False
        self.paused = False
        """The transport is full: messages wait, though the windows are open."""

    def write(self, data: bytes | memoryview) -> None:
        """Write what needs no window, soon: what is written before anything else runs leaves together."""
        self.out.append(data)
        if not self.held:
            self.held = True
            self.loop.call_soon(self.flush)

    def hold(self) -> None:
        """Let nothing leave before flush, which has to follow."""
        self.held = True

    def flush(self) -> None:
        self.held = False
        if self.out:
            data = b"".join(self.out)
            self.out.clear()
            self.transport.write(data)

    def headers(self, stream: int, content: bytes, end: bool) -> None:
        if self.prelude:
            content, self.prelude = self.prelude + content, b""
        self.write(frame.headers(stream, content, end, frame.MAX_FRAME))

    def message(self, call: Call, data: bytes, closing: bytes | None) -> None:
        """Send a message with its prefix and, unless more are to come, the header block that ends the call."""
        size, stream = len(data), call.stream
        if not call.started:
            call.started = True
            self.headers(stream, RESPONSE_BLOCK, False)
        if not call.waiting and size <= call.window and size <= self.window and size <= frame.MAX_FRAME and not self.paused:
            self.window -= size
            call.window -= size
            self.write(frame.frame(frame.DATA, 0, stream, data))
            if closing is not None:
                self.end(call, closing)
            return
        call.waiting.append(memoryview(data))
        call.closing = closing
        self.blocked[stream] = call
        self.pump()

    def end(self, call: Call, closing: bytes) -> None:
        """End a call with a header block. What still waits of it is not sent."""
        self.headers(call.stream, closing, True)
        if not call.complete:
            # Nobody wants what the peer still sends.
            self.write(frame.rst_stream(call.stream, Reason.NO_ERROR))
        self.ended(call)

    def forget(self, call: Call) -> None:
        """Send nothing more of a call."""
        self.blocked.pop(call.stream, None)
        call.waiting.clear()

    def pump(self) -> None:
        """Send what waits as far as the peer takes it, a frame of each call in turn."""
        moving, size = True, 0
        while moving and self.blocked:
            moving = False
            for call in list(self.blocked.values()):
                if self.paused:
                    return
                n = self._part(call)
                size += n
                moving = moving or n > 0
                if size >= CHUNK:  # the transport may pause now
                    size, held = 0, self.held
                    self.flush()
                    self.held = held

    def _part(self, call: Call) -> int:
        """Send one frame of a call, and go on with it when it was the last that waited. How many bytes were sent."""
        part = call.waiting[0]
        n = min(len(part), call.window, self.window, frame.MAX_FRAME)
        if n <= 0:
            return 0
        self.window -= n
        call.window -= n
        self.write(frame.head(n, frame.DATA, 0, call.stream))
        self.write(part[:n])
        if n < len(part):
            call.waiting[0] = part[n:]
            return n
        call.waiting.popleft()
        if not call.waiting:
            del self.blocked[call.stream]
            if call.closing is not None:
                self.end(call, call.closing)
            elif call.drained is not None and not call.drained.done():
                call.drained.set_result(None)
        return n

    # ---- What the peer says of it ----

    def widen(self, increment: int) -> None:
        """Send more on the connection. Raises ConnectionFault."""
        self.window += increment
        if not increment:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, "the window of the connection grows by nothing")
        if self.window > frame.LARGEST_WINDOW:
            raise ConnectionFault(Reason.FLOW_CONTROL_ERROR, "the window of the connection overflows")
        self.pump()

    def widen_call(self, call: Call, increment: int) -> None:
        """Send more of one call. Raises StreamFault."""
        call.window += increment
        if not increment:
            raise StreamFault(call.stream, Reason.PROTOCOL_ERROR)
        if call.window > frame.LARGEST_WINDOW:
            raise StreamFault(call.stream, Reason.FLOW_CONTROL_ERROR)
        self.pump()

    def setting(self, key: int, value: int, calls: Iterable[Call]) -> None:
        """Keep a setting of the peer, which holds for the calls at hand too. Raises ConnectionFault."""
        if key == frame.INITIAL_WINDOW_SIZE:
            change, self.call_window = value - self.call_window, value
            for call in calls:
                call.window += change
                if call.window > frame.LARGEST_WINDOW:
                    raise ConnectionFault(Reason.FLOW_CONTROL_ERROR, "an initial window overflows that of a stream")
        elif key == frame.HEADER_TABLE_SIZE and value < frame.DEFAULT_TABLE:
            # No block of ours uses the table, but a decoder may insist on being told that it is smaller.
            self.prelude = b"\x20"
