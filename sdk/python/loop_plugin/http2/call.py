"""One call: the message that arrives, the handler that serves it, and how it ends."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from loop_plugin.error import Code
from loop_plugin.http2.header import Head, Metadata, closing

if TYPE_CHECKING:
    from loop_plugin.http2.connection import Connection

# Before each message: whether it is compressed, and its length.
prefix = struct.Struct(">BL")


class Status(Exception):
    """Ends a call in another way than OK."""

    def __init__(self, code: Code, message: str, trailers: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.trailers = code, message, trailers


class Call:
    """A call that is being served. Everything happens on the event loop."""

    __slots__ = (
        "closed",
        "closing",
        "complete",
        "connection",
        "deadline",
        "drained",
        "expected",
        "head",
        "path",
        "receivable",
        "received",
        "started",
        "stream",
        "task",
        "timer",
        "trailers",
        "waiting",
        "window",
    )

    def __init__(self, connection: Connection, stream: int, head: Head, window: int, receivable: int) -> None:
        self.connection, self.stream, self.head = connection, stream, head
        self.path: str = head.path
        self.deadline: float | None = None if head.timeout is None else time.monotonic() + head.timeout
        """By time.monotonic(); None: the caller set none."""
        self.trailers: Metadata = ()
        """What the answer ends with, if the handler returns."""
        # What arrives: the request so far, how long it is by its prefix, and how many bytes the peer may still send.
        self.received: bytes | bytearray = b""
        self.expected = -1
        self.receivable = receivable
        self.complete = False
        # What leaves: how many bytes the peer takes, and those that wait for it to take more.
        self.window = window
        self.waiting: deque[memoryview] = deque()
        self.closing: bytes | None = None
        self.drained: asyncio.Future[None] | None = None
        self.started = self.closed = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def text(self, key: str) -> list[str]:
        """The values that the caller's metadata has under a key."""
        return self.head.text(key)

    def binary(self, key: str) -> list[bytes]:
        """The values that the caller's metadata has under a key that ends with -bin."""
        return self.head.binary(key)

    async def send(self, message: bytes) -> None:
        """Answer one message of a stream, and wait until the peer takes what is left of it."""
        if self.closed:
            raise Status(Code.CANCELLED, f"{self.path} has ended")
        self.connection.outbound.message(self, _prefixed(message), None)
        while self.waiting:
            self.drained = self.connection.loop.create_future()
            await self.drained

    def receive(self, data: bytes, limit: int) -> None:
        """Take a part of the request. Raises Status for one that is too large, compressed, or no single message."""
        if not self.received:
            self.received = data  # which is all of it, mostly
        else:
            if isinstance(self.received, bytes):
                self.received = bytearray(self.received)
            self.received += data
        if self.expected < 0:
            if len(self.received) < prefix.size:
                return
            compressed, self.expected = prefix.unpack_from(self.received)
            if compressed == 1:
                raise Status(Code.UNIMPLEMENTED, f"the request of {self.path} is compressed; send it as it is")
            if compressed:
                raise Status(Code.INTERNAL, f"the request of {self.path} begins with {compressed}; 0 is wanted")
            if self.expected > limit:
                raise Status(
                    Code.RESOURCE_EXHAUSTED,
                    f"the request of {self.path} has {self.expected} bytes; the limit of a message is {limit} bytes",
                )
        if len(self.received) > prefix.size + self.expected:
            raise Status(Code.INTERNAL, f"{self.path} takes one message, and more were sent")

    def message(self) -> bytes:
        """The request, once the peer has sent all. Raises Status."""
        if self.expected < 0 or len(self.received) != prefix.size + self.expected:
            raise Status(Code.INTERNAL, f"{self.path} takes one message, and {len(self.received)} bytes of it were sent")
        whole, self.received = self.received, b""
        return bytes(memoryview(whole)[prefix.size :])

    async def serve(self, handler: Handler, message: bytes) -> None:
        """Answer what the handler returns or raises."""
        try:
            answer = await handler(message, self)
        except Status as status:
            self.end(status.code, status.message, status.trailers)
        except asyncio.CancelledError:
            # Whoever cancelled for the transport's sake has closed the call; else it was the handler's own doing.
            self.end(Code.CANCELLED, f"{self.path} was cancelled", self.trailers)
            raise
        except BaseException as error:  # SystemExit, raised in a task, would end the event loop
            self.connection.logger.exception("serving a call failed", extra={"method": self.path})
            self.end(Code.INTERNAL, f"{self.path} raised {type(error).__name__}", self.trailers)
        else:
            if self.closed:
                return
            if answer is None:
                self.end(Code.OK, "", self.trailers)
            else:
                self.connection.outbound.message(self, _prefixed(answer), closing(0, "", self.trailers, False))

    def end(self, code: Code, message: str, trailers: Metadata = ()) -> None:
        """End with a status, unless it has ended."""
        if not self.closed:
            self.connection.outbound.end(self, closing(code, message, trailers, not self.started))

    def expire(self) -> None:
        """End at the deadline."""
        self.end(Code.DEADLINE_EXCEEDED, f"{self.path} did not end by its caller's deadline", self.trailers)
        self.cancel()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


def _prefixed(message: bytes) -> bytes:
    return prefix.pack(0, len(message)) + message


Handler = Callable[[bytes, Call], Awaitable["bytes | None"]]
"""Serves a method: takes the request and returns the answer, or sends any number of them and returns None. It raises Status."""
