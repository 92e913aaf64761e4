"""A plugin's process as a host sees it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from conftest import FAKE, Start
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from loop_contract.hostservice.v1 import keystore_pb2
from loop_contract.hostservice.v1.keystore_loop import KeystoreServiceStub
from loop_contract.plugin.v1 import lifecycle_pb2
from loop_contract.plugin.v1.lifecycle_loop import LifecycleServiceStub
from loop_contract.relayer.v1 import relayer_pb2
from loop_contract.relayer.v1.relayer_loop import (
    ChainServiceStub,
    ContractConfigServiceStub,
    ContractTransmitterServiceStub,
    RelayerServiceStub,
)
from loop_plugin import Code, RpcError
from loop_plugin.client import Connection
from loop_plugin.handshake import new_key_pair
from loop_plugin.host import Host


def chain(name: str, mode: str = "") -> relayer_pb2.CreateChainRequest:
    return relayer_pb2.CreateChainRequest(
        name=name, chain_id="1", config_toml=mode.encode(), keystore="keystore", store="store"
    )


async def fails(call: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value


HEAD = relayer_pb2.LatestHeadRequest()


async def test_objects(start: Start) -> None:
    plugin = await start()
    root, life = RelayerServiceStub(plugin.root), LifecycleServiceStub(plugin.root)
    a = ChainServiceStub(plugin.connection.object("a"))

    error = await fails(root.create_chain(chain("a")))
    assert error.code is Code.FAILED_PRECONDITION and "Init comes first" in error.message
    assert (await plugin.init()).version == "v1.2.3"
    assert (await fails(plugin.init())).code is Code.FAILED_PRECONDITION

    assert (await fails(a.latest_head(HEAD))).code is Code.NOT_FOUND
    assert (await fails(ChainServiceStub(plugin.root).latest_head(HEAD))).code is Code.INVALID_ARGUMENT
    making = asyncio.gather(*(root.create_chain(chain("a", "hold")) for _ in range(5)))
    await plugin.lets_go("create_chain")
    await making
    await root.create_chain(chain("a", "hold"))
    assert (await a.latest_head(HEAD)).number == 1, "equal requests made several objects"
    assert (await fails(root.create_chain(chain("a", "other")))).code is Code.ALREADY_EXISTS
    wrong = ContractConfigServiceStub(plugin.connection.object("a"))
    error = await fails(wrong.latest_block_height(relayer_pb2.LatestBlockHeightRequest()))
    assert error.code is Code.NOT_FOUND and "does not serve" in error.message

    # Released with its parent, and closed before it, after its last call.
    config = relayer_pb2.ProviderConfig(external_job_id="j", contract_id="c")
    await a.create_provider(relayer_pb2.CreateProviderRequest(name="p", provider_type="config", config=config))
    unserved = ContractTransmitterServiceStub(plugin.connection.object("p"))
    error = await fails(unserved.from_account(relayer_pb2.FromAccountRequest()))
    assert error.code is Code.UNIMPLEMENTED and "ContractTransmitterService/FromAccount" in error.message
    provider = ContractConfigServiceStub(plugin.connection.object("p"))
    call = asyncio.create_task(provider.latest_block_height(relayer_pb2.LatestBlockHeightRequest()))
    await plugin.logged("held in latest_block_height")
    await life.release(lifecycle_pb2.ReleaseRequest(objects=["a", "never there"]))
    assert not plugin.closed(), "closed under a call"
    await plugin.lets_go("latest_block_height")
    assert (await call).block_height == 7
    await plugin.closes(2)
    assert (await fails(a.latest_head(HEAD))).code is Code.NOT_FOUND
    assert (await fails(root.create_chain(chain("a", "hold")))).code is Code.FAILED_PRECONDITION
    assert (await fails(root.create_chain(chain("never there")))).code is Code.FAILED_PRECONDITION
    assert (await fails(life.release(lifecycle_pb2.ReleaseRequest()))).code is Code.INVALID_ARGUMENT
    assert plugin.closed() == ["provider", 1]


async def test_release_meets_construction(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    root, life = RelayerServiceStub(plugin.root), LifecycleServiceStub(plugin.root)
    making = asyncio.create_task(root.create_chain(chain("a", "hold")))
    await plugin.logged("held in create_chain")
    await life.release(lifecycle_pb2.ReleaseRequest(objects=["a"]))
    await plugin.lets_go("create_chain")
    assert (await fails(making)).code is Code.FAILED_PRECONDITION
    await plugin.logged("closed")


async def test_a_caller_that_goes_leaves_no_half_object(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    root = RelayerServiceStub(plugin.root)
    error = await fails(root.create_chain(chain("a", "hold"), timeout=0.1))
    assert error.code is Code.DEADLINE_EXCEEDED
    again = asyncio.create_task(root.create_chain(chain("a", "hold")))
    await plugin.lets_go("create_chain")
    await again
    assert (await ChainServiceStub(plugin.connection.object("a")).latest_head(HEAD)).number == 1


async def test_exceptions(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    root = RelayerServiceStub(plugin.root)
    error = await fails(root.create_chain(chain("a", "raise")))
    assert error.code is Code.INTERNAL and "ValueError" in error.message and "secret" not in error.message
    line = await plugin.logged("a handler raised an exception")
    assert line["level"] == "ERROR" and "Traceback" in line["stack"] and "create_chain" in line["stack"]
    error = await fails(root.create_chain(chain("b", "exit")))
    assert error.code is Code.INTERNAL
    assert (await fails(root.create_chain(chain("c", "refuse")))).message.endswith("config_toml: is not to my taste")
    await root.create_chain(chain("d"))
    d = ChainServiceStub(plugin.connection.object("d"))
    assert (await fails(d.transact(transfer()))).code is Code.NOT_FOUND


def transfer() -> relayer_pb2.TransactRequest:
    request = relayer_pb2.TransactRequest(to="b")
    setattr(request, "from", "a")
    request.amount.magnitude = b"\x01"
    return request


@pytest.mark.parametrize(
    ("mode", "code", "says"),
    [
        ("broken answer", Code.INTERNAL, "chain_id: is empty; it is required"),
        ("large answer", Code.RESOURCE_EXHAUSTED, "16777216 bytes"),
        ("wrong answer", Code.INTERNAL, "TypeError"),
        ("", Code.UNAVAILABLE, ""),  # the keystore that is lent stands behind a host that is not there
    ],
)
async def test_answers(start: Start, mode: str, code: Code, says: str) -> None:
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a", mode))
    status = ChainServiceStub(plugin.connection.object("a")).chain_status(relayer_pb2.ChainStatusRequest(), timeout=5)
    error = await fails(status)
    assert error.code is code and says in error.message


CREATE = "/loop.relayer.v1.RelayerService/CreateChain"


async def test_bad_requests(start: Start) -> None:
    """Requests that the client's end of the seam would not send."""
    plugin = await start()
    await plugin.init()
    for encoded, says in (
        (b"\xff", "does not decode"),
        (chain("").SerializeToString(), "CreateChainRequest.name: is empty"),
    ):
        error = await fails(plugin.connection.unary(CREATE, "", encoded, None))
        assert error.code is Code.INVALID_ARGUMENT and says in error.message
    large = relayer_pb2.CreateChainRequest(name="a", chain_id="1", config_toml=bytes(17 << 20), keystore="k", store="s")
    error = await fails(RelayerServiceStub(plugin.root).create_chain(large))
    assert error.code is Code.RESOURCE_EXHAUSTED and "16777216 bytes (16 MiB)" in error.message
    error = await fails(plugin.connection.unary("/loop.median.v1.MedianService/CreateMedianFactory", "", b"", None))
    assert error.code is Code.UNIMPLEMENTED


async def test_what_grpc_says_beside_answers(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    channel = plugin.connection.channel().channel
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw(channel, CREATE)(chain("").SerializeToString())
    trailer = dict(caught.value.trailing_metadata() or ())
    assert trailer["loop-generation"] == "3"
    rich = status_pb2.Status.FromString(bytes(trailer["grpc-status-details-bin"]))
    bad = error_details_pb2.BadRequest()
    assert rich.details[0].Unpack(bad) and bad.field_violations[0].field == "name"
    call = raw(channel, CREATE)(chain("a").SerializeToString())
    await call
    assert dict(await call.trailing_metadata() or ())["loop-generation"] == "3"

    large = relayer_pb2.CreateChainRequest(name="a", chain_id="1", config_toml=bytes(17 << 20), keystore="k", store="s")
    credentials = grpc.ssl_channel_credentials(plugin.certificate, plugin.host.key, plugin.host.certificate)
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.max_send_message_length", -1)]
    unlimited = grpc.aio.secure_channel("unix:" + plugin.address, credentials, options)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw(unlimited, CREATE)(large.SerializeToString())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "16777216" in (caught.value.details() or "")
    await unlimited.close()


def raw(channel: grpc.aio.Channel, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(path)


async def test_deadlines_come_from_the_contract(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a"))
    a = ChainServiceStub(plugin.connection.object("a"))
    begin = time.monotonic()
    error = await fails(a.list_node_statuses(relayer_pb2.ListNodeStatusesRequest(page_size=60_000)))
    assert error.code is Code.DEADLINE_EXCEEDED and 4.5 < time.monotonic() - begin < 30, "the contract says 5 s"


async def test_streams(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    changes = RelayerServiceStub(plugin.root).watch_contract_configs(relayer_pb2.WatchContractConfigsRequest())
    assert (await changes.__anext__()).provider == "p"
    await changes.aclose()  # type: ignore[attr-defined]


async def test_health_and_metrics(start: Start) -> None:
    plugin = await start()
    check = "/grpc.health.v1.Health/Check"
    assert await plugin.connection.unary(check, "", b"\n\x06plugin", None) == b"\x08\x01"
    assert (await fails(plugin.connection.unary(check, "", b"\n\x05other", None))).code is Code.NOT_FOUND
    watch = plugin.connection.channel().stream("/grpc.health.v1.Health/Watch", "", b"")
    assert await watch.__anext__() == b"\x08\x01"
    await watch.aclose()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a"))
    life = LifecycleServiceStub(plugin.root)
    for accept, kind in (("", "text/plain"), ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text")):
        got = await life.collect_metrics(lifecycle_pb2.CollectMetricsRequest(accept=accept))
        assert got.content_type.startswith(kind)
        assert b'count{code="OK",method="/loop.relayer.v1.RelayerService/CreateChain"} 1.0' in got.exposition
        assert b"process_resident_memory_bytes" in got.exposition


async def test_mutual_tls(start: Start) -> None:
    plugin = await start()
    stranger = new_key_pair()
    connection = Connection("unix:" + plugin.address, plugin.certificate, stranger.certificate, stranger.key)
    connection.framed = plugin.connection.framed
    error = await fails(LifecycleServiceStub(connection.object("")).init(lifecycle_pb2.InitRequest(), timeout=3))
    assert error.code is Code.INVALID_ARGUMENT  # by our own end: the request is empty
    health = connection.unary("/grpc.health.v1.Health/Check", "", b"", time.monotonic() + 20)
    assert (await fails(health)).code is Code.UNAVAILABLE
    await connection.close()


async def test_grpc_is_imported_for_those_who_want_it(start: Start) -> None:
    """Importing it takes a good part of a plugin's start."""
    plugin = await start()
    await plugin.init()

    def libraries() -> str:
        return Path(f"/proc/{plugin.process.pid}/maps").read_text()

    if not Path("/proc/self/maps").exists():  # noqa: ASYNC240
        pytest.skip("what a process has loaded is told on Linux alone")
    assert ("cygrpc" in libraries()) is not plugin.connection.framed
    changes = RelayerServiceStub(plugin.root).watch_contract_configs(relayer_pb2.WatchContractConfigsRequest())
    assert (await changes.__anext__()).provider == "p"
    assert "cygrpc" in libraries()
    await changes.aclose()  # type: ignore[attr-defined]


async def test_init_refuses_certificates(start: Start) -> None:
    plugin = await start()
    other = new_key_pair()
    for field, value in (
        ("client_certificate_pem", other.certificate.decode()),
        ("client_key_pem", "nonsense"),
        ("host_certificate_pem", "nonsense"),
    ):
        error = await fails(plugin.init(**{field: value}))
        assert error.code is Code.INVALID_ARGUMENT, field
    await plugin.init()


async def test_drain(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    root, life = RelayerServiceStub(plugin.root), LifecycleServiceStub(plugin.root)
    await root.create_chain(chain("a"))
    a = ChainServiceStub(plugin.connection.object("a"))
    config = relayer_pb2.ProviderConfig(external_job_id="j", contract_id="c")
    await a.create_provider(relayer_pb2.CreateProviderRequest(name="p", provider_type="config", config=config))
    provider = ContractConfigServiceStub(plugin.connection.object("p"))
    under_way = asyncio.create_task(provider.latest_block_height(relayer_pb2.LatestBlockHeightRequest()))
    await plugin.logged("held in latest_block_height")
    draining = asyncio.create_task(life.drain(lifecycle_pb2.DrainRequest(grace=Duration(seconds=60))))
    with pytest.raises(RpcError) as refused:
        while True:
            await a.latest_head(HEAD)
    assert refused.value.code is Code.UNAVAILABLE and refused.value.message == "the plugin is ending"
    assert not draining.done() and not plugin.closed()
    await plugin.lets_go("latest_block_height")
    assert (await under_way).block_height == 7
    await draining
    await plugin.closes(2)
    assert await asyncio.wait_for(plugin.process.wait(), 20) == 0, "it waits for its host to hang up"


async def test_the_answer_of_a_drain_survives_a_machine_that_stands_still(start: Start) -> None:
    """A process that gets no processor for longer than its end may take has not had that time."""
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a", "stand still"))
    await LifecycleServiceStub(plugin.root).drain(lifecycle_pb2.DrainRequest(grace=Duration(seconds=5)))
    assert await asyncio.wait_for(plugin.process.wait(), 20) == 0


async def test_drain_goes_on_after_its_deadline(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a", "close for 1"))
    drain = LifecycleServiceStub(plugin.root).drain(lifecycle_pb2.DrainRequest(grace=Duration(seconds=5)), timeout=0.3)
    assert (await fails(drain)).code is Code.DEADLINE_EXCEEDED
    await plugin.logged("closed")
    assert await asyncio.wait_for(plugin.process.wait(), 20) == 0


@pytest.mark.parametrize(("blocked", "leader"), [(False, True), (True, True), (False, False)])
async def test_it_ends_with_its_host(start: Start, blocked: bool, leader: bool) -> None:
    plugin = await start(leader=leader)
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a"))
    replay = relayer_pb2.ReplayRequest(from_block=60 if blocked else 0)
    call = asyncio.create_task(ChainServiceStub(plugin.connection.object("a")).replay(replay))
    await asyncio.sleep(0.2)
    assert plugin.process.stdin is not None
    plugin.process.stdin.close()
    # The contract says 1 s, and a busy machine takes longer. What blocks the loop does so for 60 s.
    assert await asyncio.wait_for(plugin.process.wait(), 20) == (-signal.SIGKILL if leader else 0)
    call.cancel()


async def test_what_it_has_started_ends_with_its_host(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a", "child"))
    assert plugin.process.stdin is not None
    plugin.process.stdin.close()
    await asyncio.wait_for(plugin.silent.wait(), 20)


async def test_sigterm_and_sigint(start: Start) -> None:
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a"))
    plugin.process.send_signal(signal.SIGINT)
    assert (await ChainServiceStub(plugin.connection.object("a")).latest_head(HEAD)).number == 1
    plugin.process.send_signal(signal.SIGTERM)
    await plugin.logged("closed")
    assert await asyncio.wait_for(plugin.process.wait(), 20) == 0


async def test_sigquit(start: Start) -> None:
    """It writes what its threads do to stderr, and goes on."""
    plugin = await start()
    plugin.process.send_signal(signal.SIGQUIT)
    await plugin.wrote("in _exit_with_host")
    await plugin.init()


@pytest.mark.parametrize(
    ("mode", "by"),
    [
        ("poll", "Drain"),  # a thread that waits for another's answer is not ended by the close of its object
        ("poll", "SIGTERM"),
        ("close for 60", "SIGTERM"),
    ],
)
async def test_it_ends_whatever_goes_on(start: Start, mode: str, by: str) -> None:
    plugin = await start()
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a", mode))
    if by == "Drain":
        await LifecycleServiceStub(plugin.root).drain(lifecycle_pb2.DrainRequest(grace=Duration(seconds=5)))
    else:
        plugin.process.send_signal(signal.SIGTERM)
    # The contract says 3 s, and a busy machine takes longer. What goes on does so for 60 s.
    assert await asyncio.wait_for(plugin.process.wait(), 20) == 0


async def test_log_levels(start: Start) -> None:
    plugin = await start("WARN")
    await plugin.init()
    await RelayerServiceStub(plugin.root).create_chain(chain("a"))
    await LifecycleServiceStub(plugin.root).release(lifecycle_pb2.ReleaseRequest(objects=["a"]))
    await fails(RelayerServiceStub(plugin.root).create_chain(chain("b", "raise")))
    await plugin.logged("a handler raised an exception")
    assert {line["level"] for line in plugin.log} == {"ERROR"}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FAKE), *arguments],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_by_hand() -> None:
    version = run("--version")
    assert version.returncode == 0 and version.stdout == "fake_relayer.py v1.2.3 (kind relayer, protocol 1)\n"
    for env, says in (
        ({}, "is a LOOP plugin of kind relayer: a node starts it"),
        ({"LOOP_PLUGIN": "loop-median"}, 'the node started it for another ("loop-median")'),
        ({"LOOP_PLUGIN": "loop-relayer"}, "named no certificate"),
        ({"LOOP_PLUGIN": "loop-relayer", "PLUGIN_CLIENT_CERT": "x", "PLUGIN_UNIX_SOCKET_DIR": "/" + "x" * 100}, "a shorter"),
    ):
        refused = run(**env)
        assert refused.returncode == 1 and says in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
        assert refused.stdout == ""


async def test_nothing_lent_before_init() -> None:
    host = Host(logging.getLogger("test"))
    error = await fails(KeystoreServiceStub(host.lent("x")).list_accounts(keystore_pb2.ListAccountsRequest()))
    assert error.code is Code.FAILED_PRECONDITION
