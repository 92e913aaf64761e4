"""A node that is reached by TLS, and what is said when it is not."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from pathlib import Path

import pytest

from loop_plugin.handshake import new_key_pair
from loop_plugin.tls import server_context
from loop_relayer_python.config import Config, NodeConfig
from loop_relayer_python.node import LIMIT_CODES, LIMIT_WORDS, NodeError, Nodes, Refused


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    results = [{"jsonrpc": "2.0", "id": call["id"], "result": "0x539"} for call in json.loads(await reader.readexactly(length))]
    body = json.dumps(results).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body))
    writer.close()


@pytest.mark.parametrize(
    ("host", "trusted", "want"),
    [
        ("localhost", True, ""),
        ("localhost", False, "signed by an authority that is not trusted"),
        ("127.0.0.1", True, "of another host name"),
    ],
)
async def test_private_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool, want: str) -> None:
    pair = new_key_pair()
    if trusted:
        (tmp_path / "ca.pem").write_bytes(pair.certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    tls = server_context(pair.certificate, pair.key, pair.certificate, ["http/1.1"])
    tls.verify_mode = ssl.CERT_NONE
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    nodes = Nodes(Config(1337, True, (NodeConfig("a", f"https://{host}:{port}/secret"),), 1, 10, 1, 1, 1, 1))
    try:
        if want:
            with pytest.raises(NodeError, match=want) as caught:
                await nodes.call("eth_chainId")
            assert "secret" not in str(caught.value)
        else:
            assert await nodes.call("eth_chainId") == "0x539"
    finally:
        await nodes.close()
        server.close()


async def test_wrong_chain() -> None:
    """A node that serves another chain is asked again, and serves once it serves this one."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    nodes = Nodes(Config(7, True, (NodeConfig("a", f"http://127.0.0.1:{port}/secret"),), 1, 10, 1, 1, 1, 1))
    try:
        with pytest.raises(NodeError, match="a: it serves chain 1337"):
            await nodes.call("eth_chainId")
        nodes.nodes[0].chain_id = 1337
        assert await nodes.call("eth_chainId") == "0x539"
    finally:
        await nodes.close()
        server.close()


@pytest.mark.parametrize(
    ("code", "message", "limit"),
    [
        (429, "", True),
        (402, "upgrade to go on", True),
        (-32007, "", True),
        (-32000, "50/second request limit reached", True),
        (-32000, "You've exceeded the RPS limit available on the current plan.", True),
        (3, "execution reverted: rate limit exceeded", False),
        (-32000, "execution reverted: daily limit", False),
        (-32000, "nonce too low", False),
    ],
)
async def test_limit(code: int, message: str, limit: bool) -> None:
    """A provider's limit is not the answer to a call: the next node is asked. What other nodes would say too is one."""

    async def limited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        [call] = json.loads(await reader.readexactly(length))
        given = {"result": "0x539"} if call["method"] == "eth_chainId" else {"error": {"code": code, "message": message}}
        body = json.dumps([{"jsonrpc": "2.0", "id": call["id"], **given}]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body))
        writer.close()

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in (limited, answer)]
    addresses = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret" for server in servers]
    configs = tuple(NodeConfig(name, address) for name, address in zip("ab", addresses, strict=True))
    nodes = Nodes(Config(1337, True, configs, 1, 10, 1, 1, 1, 1))
    try:
        if limit:
            assert await nodes.call("eth_blockNumber") == "0x539"
            assert nodes.nodes[0].reason == f"eth_blockNumber met a limit of the node's provider, error {code}"
        else:
            with pytest.raises(Refused, match=message):
                await nodes.call("eth_blockNumber")
    finally:
        await nodes.close()
        for server in servers:
            server.close()


def test_limits_are_those_of_the_sdk() -> None:
    table = (Path(__file__).parents[4] / "sdk/go/relayer/throttle.go").read_text()
    assert sorted(re.findall(r'^\t{"([^"]+)", ', table, re.MULTILINE)) == sorted(LIMIT_WORDS)
    assert {402, 429, *map(int, re.findall(r"^\t(-[0-9]+),", table, re.MULTILINE))} == LIMIT_CODES


async def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of another machine is reached through the proxy that the environment names."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    nodes = Nodes(Config(1337, True, (NodeConfig("a", "http://node.invalid/"),), 1, 10, 1, 1, 1, 1))
    try:
        assert await nodes.call("eth_chainId") == "0x539"
    finally:
        await nodes.close()
        server.close()
