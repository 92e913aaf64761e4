"""The server's end of the seam. Every call of the contract passes through it: it checks messages against the field
rules, finds the object, reports the generation, turns exceptions into statuses and refuses calls while the plugin
drains."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.message import DecodeError, Message

from loop_plugin import wire
from loop_plugin.binding import Servicer, services_of
from loop_plugin.call import Call, Handler, Send, Status, StreamHandler
from loop_plugin.error import Code, RpcError, refuse
from loop_plugin.host import Host
from loop_plugin.rules import check
from loop_plugin.table import Object, Table

# Of the durations of calls, in seconds: a cached answer takes 100 us, the contract's longest deadline is 30 s.
BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30)
# A caller keeps the deadline too, and cancels the call at it. That may arrive so many seconds before the deadline passes
# here, which is counted from the call's arrival.
CLOSE_TO_DEADLINE = 0.01
# Codes as Go names them: dashboards read the metrics of plugins in all languages.
NAMES = {code: "OK" if code == 0 else code.name.title().replace("_", "") for code in Code} | {Code.CANCELLED: "Canceled"}


class Draining(RpcError):
    """A call that was refused because the plugin ends: it was not begun."""


class Dispatcher:
    """Serves a root and the objects that it makes."""

    def __init__(self, host: Host, root: Servicer) -> None:
        from loop_plugin.duration import Durations

        self.host, self.root = host, root
        self.table = Table(host.logger)
        self.logger: logging.Logger = host.logger
        self.roots = services_of(type(root))
        # Served before Init and while the plugin drains.
        self.always: dict[str, Servicer] = {}
        self.handlers: dict[str, Handler] = {}
        self.streams: dict[str, StreamHandler] = {}
        for service in self.roots.values():
            self._register(service)
        self.generation = 0
        self.draining = ""
        self.calls = 0
        self.idle = asyncio.Event()  # set when draining and no call is left
        self.durations = Durations(
            "loop_plugin_call_duration_seconds",
            "How long calls took that the host made to this plugin, by method and gRPC code.",
            ("method", "code"),
            BUCKETS,
        )
        host.registry.register(self.durations)

    def _register(self, service: type[Servicer]) -> None:
        for path, method in wire.reachable(service.DESCRIPTOR).items():
            if method.streams:
                self.streams[path] = self._stream_handler(method)
            else:
                self.handlers[path] = self._handler(method)

    def serve_always(self, servicer: Servicer) -> None:
        """Serve calls that do not wait for Init and that no drain waits for."""
        for name, service in services_of(type(servicer)).items():
            self.always[name] = servicer
            self._register(service)

    async def drain(self, grace: float, reason: str) -> bool:
        """Refuse new calls and wait until those in flight have ended. False: grace, in seconds, did not suffice."""
        self.draining = self.draining or reason
        if self.calls == 0:
            return True
        try:
            await asyncio.wait_for(self.idle.wait(), grace)
        except asyncio.TimeoutError:
            return False
        return True

    def _handler(self, method: wire.Method) -> Handler:
        # Handlers get and return bytes: decoding is part of what this class answers for.
        async def serve(encoded: bytes, call: Call) -> bytes:
            began = time.perf_counter()
            call.generation = self.generation
            code = Code.OK
            try:
                return await self._unary(method, encoded, call)
            except asyncio.CancelledError:
                code = _ended(call)
                raise
            except BaseException as error:
                status = self._status(method, error)
                code = status.code
                raise status from None
            finally:
                self.durations.observe((method.path, NAMES[code]), time.perf_counter() - began)

        return serve

    def _stream_handler(self, method: wire.Method) -> StreamHandler:
        async def serve(encoded: bytes, call: Call, send: Send) -> None:
            began = time.perf_counter()
            call.generation = self.generation
            code = Code.OK
            try:
                await self._stream(method, encoded, call, send)
            except asyncio.CancelledError:
                code = _ended(call)
                raise
            except BaseException as error:
                status = self._status(method, error)
                code = status.code
                raise status from None
            finally:
                self.durations.observe((method.path, NAMES[code]), time.perf_counter() - began)

        return serve

    def _status(self, method: wire.Method, error: BaseException) -> Status:
        refused = self._refusal(method, error)
        rich = _bad_request(refused) if refused.field else b""
        return Status(refused.code, refused.message, rich, isinstance(error, Draining))

    def _refusal(self, method: wire.Method, error: BaseException) -> RpcError:
        if isinstance(error, RpcError):
            return error
        if isinstance(error, asyncio.TimeoutError):
            return RpcError(Code.DEADLINE_EXCEEDED, f"{method.path} took too long")
        # Its text goes only to the log: it may repeat what it found in a configuration. SystemExit must not end the
        # process either.
        self.logger.error(
            "a handler raised an exception",
            exc_info=(type(error), error, error.__traceback__),
            extra={"method": method.path},
        )
        return RpcError(Code.INTERNAL, f"{method.path} raised {type(error).__name__}; the plugin's log has the traceback")

    def _enter(self) -> None:
        if self.draining:
            raise Draining(Code.UNAVAILABLE, self.draining)
        if not self.host.initialised:
            raise RpcError(
                Code.FAILED_PRECONDITION,
                "the host has not initialised this plugin yet; LifecycleService.Init comes first",
            )

    async def _unary(self, method: wire.Method, encoded: bytes, call: Call) -> bytes:
        if method.service in self.always:
            answer = await getattr(self.always[method.service], method.attribute)(_request(method, encoded))
            return _answer(method, answer)
        self._enter()
        self.calls += 1
        entry: Object | None = None
        wire.serving.set(call)
        try:
            name = call.object
            servicer: object = self.root
            service = self.roots.get(method.service)
            if service is None:
                entry = self.table.resolve(method.service, name)
                servicer, service = entry.value, entry.services[method.service]
            request = _request(method, encoded)
            implementation = getattr(servicer, method.attribute)
            if method.creates:
                answer = await self._create(method, service, implementation, request, name)
            else:
                answer = await implementation(request)
            return _answer(method, answer)
        finally:
            call.over = True
            self.calls -= 1
            if self.calls == 0 and self.draining:
                self.idle.set()
            if entry is not None:
                await self.table.leave(entry)

    async def _create(
        self,
        method: wire.Method,
        service: type[Servicer],
        implementation: Callable[..., Awaitable[Any]],
        request: Message,
        parent: str,
    ) -> Message:
        bind = service.LOANS.get(method.name)

        async def construct() -> tuple[object, Message]:
            try:
                made = await (implementation(request, bind(request, self.host.lent)) if bind else implementation(request))
            except (SystemExit, KeyboardInterrupt) as error:  # which, raised in a task, would end the event loop
                raise RuntimeError(f"{method.path} raised {type(error).__name__}") from error
            if not isinstance(made, tuple) or len(made) != 2 or made[0] is None:
                raise TypeError(f"{method.path} must return the object and the answer, and returned {type(made).__name__}")
            return made

        return await self.table.create(method, getattr(request, method.creates), parent, request, construct)

    async def _stream(self, method: wire.Method, encoded: bytes, call: Call, send: Send) -> None:
        # A stream lives until its caller goes: it is not a call in flight that draining would wait for.
        self._enter()
        servicer: object = self.root
        entry: Object | None = None
        if method.service not in self.roots:
            entry = self.table.resolve(method.service, call.object)
            servicer = entry.value
        task = asyncio.current_task()
        try:
            if entry is not None and task is not None:
                entry.streams.add(task)
            answers: AsyncIterator[Message] = getattr(servicer, method.attribute)(_request(method, encoded))
            async for answer in answers:
                await send(_answer(method, answer))
        except asyncio.CancelledError:
            if entry is not None and entry.released:
                # CANCELLED would say that the caller itself has gone.
                message = f"{method.path} ended with the object that it was called on"
                raise RpcError(Code.UNAVAILABLE, message) from None
            raise
        finally:
            if entry is not None and task is not None:
                entry.streams.discard(task)
                await self.table.leave(entry)


def _ended(call: Call) -> Code:
    """The code of a call that was cancelled: transports do so at its deadline, and when its caller goes."""
    over = call.deadline is not None and time.monotonic() >= call.deadline - CLOSE_TO_DEADLINE
    return Code.DEADLINE_EXCEEDED if over else Code.CANCELLED


def _request(method: wire.Method, encoded: bytes) -> Message:
    try:
        request = method.request.FromString(encoded)
    except DecodeError as error:
        raise RpcError(Code.INVALID_ARGUMENT, f"the request does not decode: {error}") from None
    bad = check(request)
    if bad is not None:
        raise refuse(request, bad.field, bad.problem)
    return request


def _answer(method: wire.Method, answer: object) -> bytes:
    if not isinstance(answer, method.response):
        raise TypeError(f"{method.path} must answer {method.response.__name__}, and answered {type(answer).__name__}")
    bad = check(answer)
    if bad is not None:
        name = method.response.DESCRIPTOR.full_name
        raise RpcError(Code.INTERNAL, f"the answer to {method.path} breaks the contract: {name}.{bad}")
    encoded = answer.SerializeToString()
    wire.check_size(method.path, "answer", encoded)
    return encoded


def _bad_request(status: RpcError) -> bytes:
    """The status with a google.rpc.BadRequest."""
    from google.rpc import error_details_pb2, status_pb2

    details = error_details_pb2.BadRequest()
    details.field_violations.add(field=status.field, description=status.problem)
    rich = status_pb2.Status(code=status.code, message=status.message)
    rich.details.add().Pack(details)
    encoded: bytes = rich.SerializeToString()
    return encoded
