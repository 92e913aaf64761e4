"""The objects of a process, by the names that the host chose. Everything happens on the event loop, so nothing is locked."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from google.protobuf.message import Message

from loop_plugin import wire
from loop_plugin.binding import Servicer, services_of
from loop_plugin.call import Serving
from loop_plugin.error import Code, RpcError
from loop_plugin.task import start

Construct = Callable[[], Awaitable[tuple[object, Message]]]


class Object:
    """One entry: under construction until its task is done, then made, or failed and gone."""

    def __init__(self, name: str, parent: Object | None, request: bytes) -> None:
        self.name, self.parent, self.request = name, parent, request
        self.task: asyncio.Task[Message]
        self.value: object = None
        self.services: dict[str, type[Servicer]] = {}
        self.made = False
        self.done = False
        self.released = False
        self.calls = 0
        self.children: set[str] = set()
        # Children that are not closed yet, those under construction included: they may still use this object.
        self.open = 0
        self.streams: set[asyncio.Task[object]] = set()

    def unused(self) -> bool:
        """Whether nobody will use it any more, so that it is to be closed.

        After the release both counts only fall: whoever makes the last condition true finds it, and nobody else.
        """
        return self.released and self.done and self.calls == 0 and self.open == 0


class Table:
    """Creates, finds and releases objects."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.objects: dict[str, Object] = {}
        # Names that were released: a create that arrives after its release must not bring them back. It is never emptied in
        # a process's lifetime; a name takes some 100 bytes.
        self.released: set[str] = set()
        # What closes objects: the event loop has only weak references to tasks.
        self.closing: set[asyncio.Task[None]] = set()

    async def create(self, method: wire.Method, name: str, parent: str, request: Message, construct: Construct) -> Message:
        """Make an object. The same name with the same request joins or repeats the first answer."""
        encoded = method.path.encode() + request.SerializeToString(deterministic=True)
        if name in self.released:
            raise RpcError(Code.FAILED_PRECONDITION, f"object {name} was released")
        above = self.objects.get(parent) if parent else None
        if parent and (above is None or not above.made):
            raise not_found(parent)
        entry = self.objects.get(name)
        if entry is None:
            entry = self.objects[name] = Object(name, above, encoded)
            if above is not None:
                above.children.add(name)
                above.open += 1
            # A task of its own: a caller that goes away must not leave half an object.
            entry.task = asyncio.create_task(self._construct(entry, method, construct))
            entry.task.add_done_callback(_retrieved)
        elif entry.request != encoded:
            raise RpcError(Code.ALREADY_EXISTS, f"object {name} was made by another request")
        return await asyncio.shield(entry.task)

    async def _construct(self, entry: Object, method: wire.Method, construct: Construct) -> Message:
        try:
            serving = Serving(None if method.timeout is None else time.monotonic() + method.timeout)
            wire.serving.set(serving)
            try:
                value, response = await asyncio.wait_for(construct(), method.timeout)
            finally:
                serving.over = True
            services = services_of(type(value))
            missing = [s for s in method.created if s not in services]
            if missing:
                self.logger.error(
                    "a constructor made an object of the wrong class",
                    extra={"method": method.path, "made": type(value).__name__, "missing": missing},
                )
                raise RpcError(Code.INTERNAL, f"{method.path} made an object that does not serve {', '.join(missing)}")
        except BaseException as error:
            entry.released = entry.done = True
            self._forget(entry)
            await self._end(entry)
            if isinstance(error, asyncio.TimeoutError):
                raise RpcError(Code.DEADLINE_EXCEEDED, f"{method.path} took more than {method.timeout} s") from error
            raise
        entry.value, entry.services, entry.done = value, {s: services[s] for s in method.created}, True
        if entry.released:  # while it was being made: nobody may see it, and it must be closed
            if entry.unused():
                await self._end(entry)
            raise RpcError(Code.FAILED_PRECONDITION, f"object {entry.name} was released")
        entry.made = True
        return response

    def _forget(self, entry: Object) -> None:
        if self.objects.get(entry.name) is entry:
            del self.objects[entry.name]
        if entry.parent is not None:
            entry.parent.children.discard(entry.name)

    def resolve(self, service: str, name: str) -> Object:
        """Find the object of a call and count the call. leave must follow."""
        if not name:
            raise RpcError(Code.INVALID_ARGUMENT, f"a call on {service} names no object in {wire.OBJECT_KEY}")
        entry = self.objects.get(name)
        if entry is None or not entry.made:
            raise not_found(name)
        if service not in entry.services:
            raise RpcError(Code.NOT_FOUND, f"object {name} does not serve {service}")
        entry.calls += 1
        return entry

    async def leave(self, entry: Object) -> None:
        """End a call."""
        entry.calls -= 1
        if entry.unused():
            await self._end_all([entry])

    async def release(self, names: Iterable[str]) -> None:
        """Release names and end their objects, children before parents, each after its last call."""
        ended: list[Object] = []
        for name in names:
            self._release(name, ended)
        if ended:
            await self._end_all(ended)

    def _release(self, name: str, ended: list[Object]) -> None:
        self.released.add(name)
        entry = self.objects.get(name)
        if entry is None:
            return
        for child in list(entry.children):
            self._release(child, ended)
        entry.released = True
        self._forget(entry)
        for stream in entry.streams:
            stream.cancel()
        if entry.unused():
            ended.append(entry)

    async def release_all(self) -> None:
        """Release all objects, and wait also for those that are being closed already."""
        await self.release(list(self.objects))
        if self.closing:
            await asyncio.wait(self.closing)

    async def _end_all(self, entries: list[Object]) -> None:
        """Close objects one after another, in a task of its own: nobody finds them again, so the deadline of the caller
        who waits for it, which cancels the caller, must not leave one that is not closed."""

        async def end() -> None:
            for entry in entries:
                await self._end(entry)

        task = start(end())
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)
        await asyncio.shield(task)

    async def _end(self, entry: Object) -> None:
        """Close an object that nobody uses any more, and then its parent if that was only waiting for it."""
        await self._close(entry)
        above = entry.parent
        if above is not None:
            above.open -= 1
            if above.unused():
                await self._end(above)

    async def _close(self, entry: Object) -> None:
        close = getattr(entry.value, "close", None)
        if not callable(close):
            return
        try:
            result = close()
            if inspect.isawaitable(result):
                await result
        # CancelledError comes of awaiting a task that was cancelled. The other two would end the event loop.
        except (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt):
            self.logger.exception("closing an object failed", extra={"object": entry.name})


def not_found(name: str) -> RpcError:
    return RpcError(Code.NOT_FOUND, f"there is no object {name}")


def _retrieved(task: asyncio.Task[Message]) -> None:
    """Keep asyncio from logging a constructor's error again when its caller has gone."""
    if not task.cancelled():
        task.exception()
