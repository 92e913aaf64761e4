"""One connection: what the peer's frames do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol, cast

from hpack import Decoder, HPACKError, OversizedHeaderListError

from loop_plugin.error import Code
from loop_plugin.http2 import frame
from loop_plugin.http2.call import Call, Handler, Status
from loop_plugin.http2.frame import ConnectionFault, Reason, StreamFault
from loop_plugin.http2.header import Fields, Head, Malformed, NotGrpc, block
from loop_plugin.http2.outbound import Outbound

# Bytes that a peer may send before it hears that more are welcome: of one call and of all.
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 1 << 22
# Calls at once, those included that were cancelled and go on.
MAX_CALLS = 4096
# Bytes of a header list, as RFC 9113 counts them. Beyond the first a call is refused, beyond the second the connection ends,
# since a list that was not decoded to its end cannot be skipped.
MAX_HEADERS, MAX_DECODED = 1 << 16, 1 << 18
# Bytes of a header block that comes in several frames.
MAX_BLOCK = 1 << 16
LAST_PING = b"draining"


class Owner(Protocol):
    """Who has connections."""

    handlers: Mapping[str, Handler]
    limit: int
    logger: logging.Logger
    connections: set[Connection]

    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, owner: Owner) -> None:
        self.owner, self.handlers, self.limit, self.logger = owner, owner.handlers, owner.limit, owner.logger
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.reader = frame.Reader()
        self.decoder = Decoder(MAX_DECODED)
        self.calls: dict[int, Call] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        # The highest stream that the peer has begun, and the highest of those that are served.
        self.last = self.served = 0
        # A header block of which more is to come: its stream, flags and what has arrived.
        self.partial: tuple[int, int, bytearray] | None = None
        self.receivable = CONNECTION_WINDOW
        self.outbound = Outbound(self.loop, self._close)
        self.greeted = False
        self.draining = self.drained = self.failed = False

    # ---- The transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self.outbound.transport = cast(asyncio.Transport, transport)
        self.owner.connections.add(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != "h2":
            self.failed = True
            self.transport.abort()
            return
        settings = {
            frame.MAX_CONCURRENT_STREAMS: MAX_CALLS,
            frame.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            frame.MAX_HEADER_LIST_SIZE: MAX_HEADERS,
        }
        self.outbound.write(frame.settings(settings))
        self.outbound.write(frame.window_update(0, CONNECTION_WINDOW - frame.DEFAULT_WINDOW))

    def connection_lost(self, error: Exception | None) -> None:
        self.failed = True
        self._abandon()
        self.owner.lost(self)

    def pause_writing(self) -> None:
        # What a peer sends wants answers: one that reads none may send no more.
        self.outbound.paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.outbound.paused = False
        self.transport.resume_reading()
        self.outbound.pump()

    def data_received(self, data: bytes) -> None:
        if self.failed:
            return
        self.outbound.hold()
        begun = len(self.tasks)
        try:
            for kind, flags, stream, payload in self.reader.frames(data):
                try:
                    self.take(kind, flags, stream, payload)
                except StreamFault as fault:
                    self.reset(fault.stream, fault.reason)
        except ConnectionFault as fault:
            self.fail(fault.reason, str(fault))
        except Exception as error:
            self.logger.exception("reading a connection failed")
            self.fail(Reason.INTERNAL_ERROR, type(error).__name__)
        if len(self.tasks) > begun:
            # Behind the first steps of the tasks: what needs no waiting has its answer by then.
            self.loop.call_soon(self.outbound.flush)
        else:
            self.outbound.flush()

    # ---- What arrives ----

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Do what a frame says. Raises ConnectionFault and StreamFault."""
        if self.partial is not None and (kind != frame.CONTINUATION or stream != self.partial[0]):
            raise ConnectionFault(Reason.PROTOCOL_ERROR, "a header block was left for another frame")
        if not self.greeted:
            if kind != frame.SETTINGS or flags & frame.ACK:
                raise ConnectionFault(Reason.PROTOCOL_ERROR, "the first frame is no SETTINGS")
            self.greeted = True
        if kind == frame.DATA:
            self._data(flags, stream, payload)
        elif kind == frame.HEADERS:
            if not stream & 1:
                raise ConnectionFault(Reason.PROTOCOL_ERROR, f"HEADERS of stream {stream}, which is none of a client")
            content = frame.content(flags, payload)
            if flags & frame.END_HEADERS:
                self._headers(flags, stream, content)
            else:
                self.partial = (stream, flags, bytearray(content))
        elif kind == frame.CONTINUATION:
            self._continuation(flags, payload)
        elif kind == frame.PING:
            self._ping(flags, stream, payload)
        elif kind == frame.WINDOW_UPDATE:
            self._window_update(stream, payload)
        elif kind == frame.SETTINGS:
            self._settings(flags, stream, payload)
        elif kind == frame.RST_STREAM:
            frame.word_in(kind, payload)
            self._begun(kind, stream)
            call = self.calls.get(stream)
            if call is not None:
                self._close(call)
                call.cancel()
        elif kind == frame.PRIORITY:
            if not stream:
                raise ConnectionFault(Reason.PROTOCOL_ERROR, "PRIORITY of no stream")
            if len(payload) != 5:
                raise StreamFault(stream, Reason.FRAME_SIZE_ERROR)
        elif kind == frame.GOAWAY:
            if stream:
                raise ConnectionFault(Reason.PROTOCOL_ERROR, f"GOAWAY of stream {stream}")
            if len(payload) < 8:
                raise ConnectionFault(Reason.FRAME_SIZE_ERROR, f"GOAWAY has {len(payload)} bytes; it must have 8 or more")
        elif kind == frame.PUSH_PROMISE:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, "clients do not push")
        # Other kinds are extensions, to be ignored.

    def _begun(self, kind: int, stream: int) -> None:
        """Hold frames to streams that were begun, though they may have ended."""
        if not stream or stream > self.last or not stream & 1:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, f"a frame of kind {kind} of stream {stream}, which was never begun")

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        self._begun(frame.DATA, stream)
        size = len(payload)
        self.receivable -= size
        if self.receivable < 0:
            raise ConnectionFault(Reason.FLOW_CONTROL_ERROR, "more was sent than the window of the connection takes")
        # What has arrived is taken at once: a message is held whole anyway, and its limit bounds it.
        if self.receivable < CONNECTION_WINDOW // 2:
            self.outbound.write(frame.window_update(0, CONNECTION_WINDOW - self.receivable))
            self.receivable = CONNECTION_WINDOW
        call = self.calls.get(stream)
        if call is None:
            return  # it has ended at this end, which the peer does not know yet
        if call.complete:
            raise StreamFault(stream, Reason.STREAM_CLOSED)
        if flags & frame.PADDED:
            payload = frame.content(flags & frame.PADDED, payload)
        call.receivable -= size
        if call.receivable < 0:
            raise StreamFault(stream, Reason.FLOW_CONTROL_ERROR)
        try:
            call.receive(payload, self.limit)
            if flags & frame.END_STREAM:
                self._complete(call)
            elif call.receivable < STREAM_WINDOW // 2:
                self.outbound.write(frame.window_update(stream, STREAM_WINDOW - call.receivable))
                call.receivable = STREAM_WINDOW
        except Status as status:
            call.end(status.code, status.message)

    def _complete(self, call: Call) -> None:
        """Serve a call whose request is whole. Raises Status."""
        call.complete = True
        message = call.message()
        handler = self.handlers.get(call.path)
        if handler is None:
            raise Status(Code.UNIMPLEMENTED, f"there is no method {call.path}")
        call.task = task = self.loop.create_task(call.serve(handler, message))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _continuation(self, flags: int, payload: bytes) -> None:
        if self.partial is None:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, "CONTINUATION of nothing")
        stream, first, content = self.partial
        content += payload
        if len(content) > MAX_BLOCK:
            raise ConnectionFault(Reason.ENHANCE_YOUR_CALM, f"a header block has more than {MAX_BLOCK} bytes")
        if flags & frame.END_HEADERS:
            self.partial = None
            self._headers(first, stream, bytes(content))

    def _headers(self, flags: int, stream: int, content: bytes) -> None:
        try:
            fields = cast(Fields, self.decoder.decode(content, raw=True))
        except OversizedHeaderListError:
            raise ConnectionFault(Reason.ENHANCE_YOUR_CALM, f"a header list has more than {MAX_DECODED} bytes") from None
        except HPACKError as error:
            raise ConnectionFault(Reason.COMPRESSION_ERROR, f"a header block does not decode: {error}") from None
        call = self.calls.get(stream)
        if call is not None:
            self._request_trailers(call, flags)
            return
        if stream <= self.last:
            return  # of a call that has ended here
        self.last = stream
        if self.drained:
            return  # the last GOAWAY has refused it
        self.served = stream
        if len(self.calls) >= MAX_CALLS or len(self.tasks) >= MAX_CALLS:
            raise StreamFault(stream, Reason.REFUSED_STREAM)
        try:
            head = Head(fields)
        except Malformed:
            raise StreamFault(stream, Reason.PROTOCOL_ERROR) from None
        except NotGrpc as other:
            self._refuse(stream, flags, other.status)
            return
        self.calls[stream] = call = Call(self, stream, head, self.outbound.call_window, STREAM_WINDOW)
        if call.deadline is not None:
            call.timer = self.loop.call_at(call.deadline, call.expire)
        try:
            # Few fields in a short block need no count: each is in the block, or in the table, which has 4 KiB.
            few = len(fields) <= 15 and len(content) <= 1024
            if not few and sum(len(name) + len(value) + 32 for name, value in fields) > MAX_HEADERS:
                raise Status(Code.RESOURCE_EXHAUSTED, f"the metadata of a call has more than {MAX_HEADERS} bytes")
            if head.encoding not in (b"", b"identity"):
                raise Status(
                    Code.UNIMPLEMENTED,
                    f"{head.encoding.decode('latin-1')} is not known here: send messages as they are",
                    (("grpc-accept-encoding", "identity"),),
                )
            if flags & frame.END_STREAM:
                self._complete(call)
        except Status as status:
            call.complete = bool(flags & frame.END_STREAM)
            call.end(status.code, status.message, status.trailers)

    def _request_trailers(self, call: Call, flags: int) -> None:
        if call.complete:
            raise StreamFault(call.stream, Reason.STREAM_CLOSED)
        if not flags & frame.END_STREAM:
            raise StreamFault(call.stream, Reason.PROTOCOL_ERROR)
        try:
            self._complete(call)
        except Status as status:
            call.end(status.code, status.message)

    def _refuse(self, stream: int, flags: int, status: int) -> None:
        """Answer what is no call of gRPC in HTTP's own way."""
        self.outbound.headers(stream, block(((b":status", b"%d" % status),)), True)
        if not flags & frame.END_STREAM:
            self.outbound.write(frame.rst_stream(stream, Reason.NO_ERROR))

    def _ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, f"PING of stream {stream}")
        if len(payload) != 8:
            raise ConnectionFault(Reason.FRAME_SIZE_ERROR, f"PING has {len(payload)} bytes; it must have 8")
        if not flags & frame.ACK:
            self.outbound.write(frame.frame(frame.PING, frame.ACK, 0, payload))
        elif payload == LAST_PING and self.draining and not self.drained:
            # What the peer began before it knew has arrived.
            self.drained = True
            self.outbound.write(frame.goaway(self.served, Reason.NO_ERROR))
            self._close_if_drained()

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ConnectionFault(Reason.PROTOCOL_ERROR, f"SETTINGS of stream {stream}")
        if flags & frame.ACK:
            if payload:
                raise ConnectionFault(Reason.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
            return
        for key, value in frame.settings_in(payload):
            self.outbound.setting(key, value, self.calls.values())
        self.outbound.write(frame.frame(frame.SETTINGS, frame.ACK, 0))
        self.outbound.pump()

    def _window_update(self, stream: int, payload: bytes) -> None:
        increment = frame.word_in(frame.WINDOW_UPDATE, payload) & frame.LARGEST_WINDOW
        if stream:
            self._begun(frame.WINDOW_UPDATE, stream)
            call = self.calls.get(stream)
            if call is not None:
                self.outbound.widen_call(call, increment)
        else:
            self.outbound.widen(increment)

    # ---- Ends ----

    def _close(self, call: Call) -> None:
        """Forget a call that has ended for the peer. Its handler may go on."""
        call.closed = True
        del self.calls[call.stream]
        self.outbound.forget(call)
        if call.timer is not None:
            call.timer.cancel()
        if self.drained:
            self._close_if_drained()

    def reset(self, stream: int, reason: Reason) -> None:
        """End one stream for the peer's fault."""
        self.outbound.write(frame.rst_stream(stream, reason))
        call = self.calls.get(stream)
        if call is not None:
            self._close(call)
            call.cancel()

    def fail(self, reason: Reason, problem: str) -> None:
        """End the connection for the peer's fault."""
        self.logger.warning("a connection ends: its peer broke HTTP/2", extra={"reason": reason.name, "problem": problem})
        self.failed = True
        self._abandon()
        self.outbound.write(frame.goaway(self.served, reason, problem))
        self.outbound.flush()
        self.transport.close()

    def drain(self) -> None:
        """Take no more calls, and close when those at hand have ended."""
        if not self.draining and not self.failed:
            self.draining = True
            # The peer may have begun calls that have not arrived: it is told first, and asked for the end of what it sent.
            self.outbound.write(frame.goaway(frame.LARGEST_STREAM, Reason.NO_ERROR))
            self.outbound.write(frame.frame(frame.PING, 0, 0, LAST_PING))

    def _close_if_drained(self) -> None:
        if not self.calls and not self.failed:
            self.failed = True
            self.outbound.flush()
            self.transport.close()

    def cut(self) -> None:
        """Close at once; what is under way ends as UNAVAILABLE."""
        for call in list(self.calls.values()):
            call.end(Code.UNAVAILABLE, "the server has stopped")
            call.cancel()
        if not self.failed:
            self.failed = True
            self.outbound.flush()
            self.transport.close()

    def _abandon(self) -> None:
        for call in list(self.calls.values()):
            self._close(call)
            call.cancel()
