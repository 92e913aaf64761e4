"""Runs a plugin's server from the handshake to the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from loop_plugin import handshake, log, wire
from loop_plugin.binding import Servicer
from loop_plugin.dispatch import Dispatcher
from loop_plugin.host import Host
from loop_plugin.lifecycle import Beside, Lifecycle
from loop_plugin.server import Server

# Seconds that an ending server may take for its last replies before it is cut off.
STOP_GRACE = 1.0
# Seconds that the process may take to end once its server is to stop. A thread of the author's, such as one of
# asyncio.to_thread, may not end at all, and a host with the usual StopTimeout kills the process after 1.5 s.
EXIT_GRACE = 1.4
# Seconds that calls in flight get at a SIGTERM, which the host sends to a plugin that did not drain.
TERM_GRACE = 1.0
# Seconds from a SIGTERM to the end, for which the contract allows 3: the close of an object may take longer.
TERM_LIMIT = 2.5
# Seconds between two looks of the thread that keeps EXIT_GRACE and TERM_LIMIT.
TICK = 0.1


def run(root: Callable[[Host], Servicer], kind: wire.Kind, version: str, client_certificate: bytes) -> None:
    """Serve until the host says stop."""
    logger = log.start(os.environ.get(wire.LOG_LEVEL_KEY, ""))
    try:
        path = handshake.socket_path(os.environ.get("PLUGIN_UNIX_SOCKET_DIR", ""))
    except ValueError as error:
        sys.exit(str(error))
    threading.Thread(target=_exit_with_host, args=(path,), name="stdin", daemon=True).start()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what an author prints goes to the host's log
    # Not uvloop: grpc.aio has an event engine of its own and supports only asyncio's loop.
    asyncio.run(_serve(root, kind, version, client_certificate, path, Host(logger)))


async def _serve(
    root: Callable[[Host], Servicer], kind: wire.Kind, version: str, client_certificate: bytes, path: str, host: Host
) -> None:
    loop = asyncio.get_running_loop()
    log.watch(loop, host.logger)
    stopped = asyncio.Event()
    pair = handshake.new_key_pair()
    dispatcher = Dispatcher(host, root(host))
    lifecycle = Lifecycle(host, dispatcher, version, stopped.set)
    dispatcher.serve_always(lifecycle)
    beside = Beside(stopped.set)
    server = Server(
        {**dispatcher.handlers, **beside.handlers},
        {**dispatcher.streams, **beside.streams},
        pair,
        client_certificate,
        host.logger,
    )
    await server.start(path)
    # A terminal's Ctrl-C goes to the whole group: the host ends its plugins itself.
    loop.add_signal_handler(signal.SIGINT, lambda: None)

    def terminate() -> None:
        _end_within(TERM_LIMIT)
        lifecycle.end(TERM_GRACE)

    loop.add_signal_handler(signal.SIGTERM, terminate)
    print(handshake.line(kind.protocol_version, path, pair.der), flush=True)
    await stopped.wait()
    _end_within(EXIT_GRACE)  # from here on: asyncio.run waits for threads and tasks, and so does the interpreter
    await server.stop(STOP_GRACE)
    if host.initialised:
        await host.connection().close()


def _end_within(seconds: float) -> None:
    """End the process after so long, if it has not ended by then. Time in which it gets no processor does not count: on a
    busy machine its last answers would be lost with it."""

    def end() -> None:
        for _ in range(round(seconds / TICK)):
            time.sleep(TICK)  # takes longer where the machine stands still, and counts as much
        os._exit(0)

    threading.Thread(target=end, name="end", daemon=True).start()


def _exit_with_host(path: str) -> None:
    """End the process, and what it has started, when stdin ends: the host never writes there, so an end means that it is
    gone, and nobody else would end them. This waits for nothing: whoever would wait for a graceful end is gone too."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(OSError):
        Path(path).unlink()
    # The host makes each plugin the leader of a process group. In another's group there are strangers, such as a shell.
    if os.getpgrp() == os.getpid():
        os.kill(0, signal.SIGKILL)  # the group, and with it this process: nobody is left to read a status
    os._exit(0)
