"""One connection that carries frames, as both of its ends have it: TLS, and what waits to be written."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

from loop_plugin.frames.frame import MAX_QUEUE, PROTOCOL, Reader

# Seconds that the other side may take to shake hands.
HANDSHAKE_TIMEOUT = 10.0
MAX_RECORD = 16 << 10  # bytes of a TLS record
RECEIVED_AT_ONCE, WRITTEN_AT_ONCE = 64 << 10, 64 << 10


class Line:
    """Where tasks wait for something in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self, ok: Callable[[], bool], until: float | None = None) -> None:
        """Return on this task's turn, once ok holds. Whoever makes it hold calls wake. Raises TimeoutError at until."""
        if not self.waiting and ok():
            return
        turn = self.loop.create_future()
        self.waiting.append(turn)
        late = None if until is None else self.loop.call_at(until, lambda: _expire(turn))
        try:
            while True:
                await turn
                if ok():
                    return
                after, turn = turn, self.loop.create_future()
                self.waiting[self.waiting.index(after)] = turn
        finally:
            if late is not None:
                late.cancel()
            self.waiting.remove(turn)
            self.wake()  # there may be something left for the next one

    def wake(self) -> None:
        """Let the first one check again."""
        if self.waiting and not self.waiting[0].done():
            self.waiting[0].set_result(None)


def _expire(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(asyncio.TimeoutError())


class Link(asyncio.BufferedProtocol):
    """One end of a connection. It does TLS itself: with asyncio's, a call takes half as long again."""

    def __init__(self, context: ssl.SSLContext, server_side: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server_side else "localhost"  # the name in the certificates
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, name)
        self.shaken = False
        # For what arrives. asyncio's own buffer would be allocated for each piece, with 256 KiB.
        self.buffer = memoryview(bytearray(RECEIVED_AT_ONCE))
        self.patience: asyncio.TimerHandle | None = None
        self.reader = Reader()
        self.error: BaseException | None = None
        """Why the connection has ended; None: it has not."""
        # What was sent in this turn of the loop, and is written after it.
        self.out: list[bytes] = []
        self.queued = 0
        self.held = False
        self.paused = False
        self.room = Line(self.loop)

    # ---- What each end implements ----

    def agreed(self) -> None:
        """The handshake is done, and chose frames."""

    def take(self, kind: int, flags: int, number: int, aux: int, head: bytes, payload: bytes) -> None:
        """Do what a frame says. Raises Malformed."""
        raise NotImplementedError

    def crowded(self) -> bool:
        """Whether other calls are open."""
        raise NotImplementedError

    def lost(self, error: BaseException) -> None:
        """The connection has ended."""
        raise NotImplementedError

    # ---- What arrives ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(MAX_QUEUE)
        self.patience = self.loop.call_later(HANDSHAKE_TIMEOUT, self.fail, TimeoutError("the handshake of TLS took too long"))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received(self.buffer[:nbytes])

    def received(self, data: memoryview | bytes) -> None:
        if self.error is not None:
            return
        self.incoming.write(data)
        try:
            if self.shaken or self.shake():
                self._read()
        except ssl.SSLWantReadError:
            pass
        except Exception as error:  # whatever it is, nothing sensible comes after it
            self.fail(error)
        if self.outgoing.pending and self.error is None:  # TLS's own messages, such as new keys
            self.transport.write(self.outgoing.read())

    def _read(self) -> None:
        tls, incoming = self.tls, self.incoming
        while (incoming.pending or tls.pending()) and self.error is None:
            data = tls.read(MAX_RECORD)
            if not data:
                self.fail(ConnectionResetError("the other side hung up"))
                return
            for frame in self.reader.frames(data):
                self.take(*frame)

    def shake(self) -> bool:
        """Go on with the handshake; True: it is done. Raises ssl.SSLError; SSLWantReadError: the rest has not come."""
        try:
            self.tls.do_handshake()
        finally:
            if self.outgoing.pending:  # an alert, perhaps
                self.transport.write(self.outgoing.read())
        self.calm()
        if self.tls.selected_alpn_protocol() != PROTOCOL:
            raise Unspoken
        if self.tls.version() != "TLSv1.3":
            raise ssl.SSLError(f"{PROTOCOL} needs TLS 1.3")
        self.shaken = True
        self.agreed()
        return True

    def calm(self) -> None:
        """End the wait for the handshake."""
        if self.patience is not None:
            self.patience.cancel()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(error or ConnectionResetError("the other side hung up"))

    def fail(self, error: BaseException) -> None:
        """End the connection without sending anything. The first error is kept."""
        if self.error is not None:
            return
        self.error = error
        self.calm()
        self.out.clear()
        self.transport.abort()
        self.room.wake()
        self.lost(error)

    # ---- What is written ----

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.room.wake()

    def roomy(self) -> bool:
        """Whether a frame may be added to what waits to be written."""
        return not self.paused or self.error is not None

    def hold(self) -> None:
        """Write what is sent from now on after the callbacks that the loop has ready."""
        if not self.held:
            self.held = True
            self.loop.call_soon(self.flush)

    def send(self, data: bytes) -> None:
        if self.error is None:
            self.out.append(data)
            self.queued += len(data)
            if self.crowded():
                self.hold()  # for others, who are about to send
            if not self.held or self.queued > WRITTEN_AT_ONCE:
                self.write()

    def flush(self) -> None:
        self.held = False
        self.write()

    def write(self) -> None:
        if not self.out or self.error is not None:
            return
        data = self.out[0] if len(self.out) == 1 else b"".join(self.out)
        self.out.clear()
        self.queued = 0
        written = self.tls.write(data)
        while written < len(data):  # a record at a time
            written += self.tls.write(memoryview(data)[written:])
        self.transport.write(self.outgoing.read())


class Unspoken(Exception):
    """The other side does not speak frames."""

    def __init__(self) -> None:
        super().__init__(f"the other side does not serve {PROTOCOL}")
