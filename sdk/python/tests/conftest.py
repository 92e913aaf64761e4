"""What the tests share: a plugin in a process of its own, started as a node starts it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import settings

from loop_contract.plugin.v1 import lifecycle_pb2
from loop_contract.plugin.v1.lifecycle_loop import LifecycleServiceStub
from loop_plugin.client import Bound, Connection
from loop_plugin.handshake import KeyPair, new_key_pair

settings.register_profile("tests", database=None, deadline=None)
settings.load_profile("tests")

# Seconds after which a test is taken to wait for something that never comes.
LONGEST_TEST = 240.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = bounded(item.obj)


def bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def run(**fixtures: Any) -> None:
        await asyncio.wait_for(test(**fixtures), LONGEST_TEST)

    return run


FAKE = Path(__file__).parent / "fake_relayer.py"


@dataclass
class Process:
    """A plugin's process and the host's end of its connection."""

    process: asyncio.subprocess.Process
    connection: Connection
    host: KeyPair
    address: str
    certificate: bytes
    """The plugin's, in PEM."""
    log: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """It has ended, and so has everything that it has started and that holds its stderr."""

    @property
    def root(self) -> Bound:
        return self.connection.object("")

    async def init(self, **changes: Any) -> lifecycle_pb2.InitResponse:
        client = new_key_pair()
        request: dict[str, Any] = {
            "host_address": "unix:/nobody/listens/here",
            "host_certificate_pem": self.host.certificate.decode(),
            "client_certificate_pem": client.certificate.decode(),
            "client_key_pem": client.key.decode(),
            "generation": 3,
            "max_message_bytes": 16 << 20,
            "telemetry": "telemetry",
        }
        return await LifecycleServiceStub(self.root).init(lifecycle_pb2.InitRequest(**{**request, **changes}))

    async def logged(self, message: str) -> dict[str, Any]:
        """Wait for a line of the log."""
        while True:
            for line in self.log:
                if line["msg"] == message:
                    return line
            await asyncio.sleep(0.01)

    async def wrote(self, words: str) -> None:
        """Wait for words on its stderr outside the log."""
        while True:
            for line in self.text:
                if words in line:
                    return
            await asyncio.sleep(0.01)

    async def closes(self, count: int) -> None:
        """Wait until the fake has closed so many objects."""
        while True:
            if len(self.closed()) >= count:
                return
            await asyncio.sleep(0.01)

    async def lets_go(self, method: str) -> None:
        """Have the fake's calls go on that it holds in a method, once there is one."""
        await self.logged("held in " + method)
        self.process.send_signal(signal.SIGUSR1)

    def closed(self) -> list[Any]:
        """The objects that the fake has closed, in their order."""
        return [line["object"] for line in self.log if line["msg"] == "closed"]

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.text.append(line.decode())
        self.silent.set()


Start = Callable[..., Awaitable[Process]]


@pytest.fixture(params=["loop/1", "grpc"])
async def start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Start]:
    """Starts plugins, which are called by frames, and only over gRPC."""
    started: list[tuple[Process, asyncio.Task[None]]] = []

    async def starter(level: str = "DEBUG", leader: bool = True) -> Process:
        host = new_key_pair()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(FAKE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=leader,
            env={
                "PATH": os.environ["PATH"],
                "LOOP_PLUGIN": "loop-relayer",
                "LOOP_LOG_LEVEL": level,
                "PLUGIN_CLIENT_CERT": host.certificate.decode(),
                "PLUGIN_UNIX_SOCKET_DIR": str(tmp_path_factory.mktemp("s")),
            },
        )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode().strip().split("|")
        assert line[:3] == ["1", "1", "unix"] and line[4] == "grpc", line
        certificate = x509.load_der_x509_certificate(base64.b64decode(line[5] + "=="))
        pem = certificate.public_bytes(Encoding.PEM)
        connection = Connection("unix:" + line[3], pem, host.certificate, host.key)
        connection.framed = request.param == "loop/1"
        plugin = Process(process, connection, host, line[3], pem)
        started.append((plugin, asyncio.create_task(plugin.read())))
        return plugin

    yield starter
    for plugin, reader in started:
        await plugin.connection.close()
        if plugin.process.returncode is None:
            plugin.process.kill()
        with contextlib.suppress(OSError):
            os.killpg(plugin.process.pid, signal.SIGKILL)  # what it has started
        await plugin.process.wait()
        await reader
