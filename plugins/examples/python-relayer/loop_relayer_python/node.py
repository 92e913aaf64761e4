"""JSON-RPC over HTTP, to whichever of the chain's nodes answers. Errors never hold an address: it may hold a key."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Sequence
from typing import Any, NoReturn

import httpx

from loop_contract.relayer.v1 import relayer_pb2
from loop_relayer_python.config import Config, NodeConfig

Call = tuple[str, list[Any]]
"""A method and its parameters."""


class NodeError(Exception):
    """No node answered; a later attempt may succeed."""


class Refused(Exception):
    """A node answered with an error that other nodes would give too."""


class Node:
    """One RPC node and what is known of it."""

    def __init__(self, config: NodeConfig, chain_id: int, client: httpx.AsyncClient) -> None:
        self.config, self.chain_id, self.client = config, chain_id, client
        self.state = relayer_pb2.NODE_STATE_CONNECTING
        self.reason = ""
        self.latest_block = 0
        self.ids = itertools.count(1)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Make calls in one request. Raises NodeError, Refused."""
        if self.state != relayer_pb2.NODE_STATE_ALIVE:
            [chain_id] = await self.request([("eth_chainId", [])])
            if int(chain_id, 16) != self.chain_id:
                self.fail(relayer_pb2.NODE_STATE_WRONG_CHAIN, f"it serves chain {int(chain_id, 16)}")
        self.state, self.reason = relayer_pb2.NODE_STATE_ALIVE, ""
        return await self.request(calls)

    async def request(self, calls: Sequence[Call]) -> list[Any]:
        body = [{"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params} for method, params in calls]
        try:
            response = await self.client.post(self.config.http_url, json=body)
            answers = {answer["id"]: answer for answer in response.json()} if response.status_code == 200 else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError) as error:
            self.fail(relayer_pb2.NODE_STATE_UNREACHABLE, f"{calls[0][0]} {why(error)}")
        if answers is None:
            self.fail(relayer_pb2.NODE_STATE_UNREACHABLE, f"{calls[0][0]} was answered with HTTP {response.status_code}")
        results = []
        for call in body:
            answer = answers.get(call["id"], {"error": {"message": "no answer"}})
            if answer.get("error"):
                code, message = answer["error"].get("code"), str(answer["error"].get("message", ""))
                if is_limit(code, message):
                    limit = f"{call['method']} met a limit of the node's provider, error {code}"
                    self.fail(relayer_pb2.NODE_STATE_UNREACHABLE, limit)
                raise Refused(f"{call['method']}: {message[:200]}")
            results.append(answer.get("result"))
        return results

    def fail(self, state: relayer_pb2.NodeState, reason: str) -> NoReturn:
        self.state, self.reason = state, reason
        raise NodeError(f"{self.config.name}: {reason}")


# By these codes and words, in lower case, providers of nodes limit what is asked of them. They are the ones of
# sdk/go/relayer/throttle.go, which has their sources.
LIMIT_CODES = frozenset((402, 429, -32005, -32007, -32012, -32429))
LIMIT_WORDS = (
    "rate limit",
    "rate exceeded",
    "too many request",
    "request limit reached",
    "exceeded the rps limit",
    "exceeded the quota",
    "reached the usage limit",
    "max usage reached",
    "compute units per second",
    "throughput limit",
    "concurrent requests capacity",
    "request count exceeded",
    "requests exceeded",
    "limit exceeded",
    "capacity exceeded",
)


def is_limit(code: Any, message: str) -> bool:
    """Whether an error is a provider's limit, which another provider does not share. A contract's reason may have any words."""
    message = message.lower()
    if code == 3 or "revert" in message:
        return False
    return code in LIMIT_CODES or any(words in message for words in LIMIT_WORDS)


def why(error: BaseException) -> str:
    """What failed, without the address that errors of httpx hold."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATES.get(cause.verify_code, "was answered with a TLS certificate that cannot be used")
        cause = cause.__cause__ or cause.__context__
    return f"failed with {type(error).__name__}"


_UNTRUSTED = (
    "was answered with a TLS certificate signed by an authority that is not trusted: if it is one of yours, "
    "name the file with the authority's certificate by SSL_CERT_FILE"
)
_DATES = "was answered with a TLS certificate that has expired or is not valid yet, by this machine's clock"
# By OpenSSL's codes, X509_V_ERR_*.
CERTIFICATES = {
    **dict.fromkeys((18, 19, 20, 21), _UNTRUSTED),
    **dict.fromkeys((9, 10), _DATES),
    **dict.fromkeys((62, 64), "was answered with a TLS certificate of another host name"),
}


class Nodes:
    """The nodes of a chain. Calls go to the first that serves, in the order of the configuration."""

    def __init__(self, config: Config) -> None:
        # The environment says which authorities to trust and which proxies to use: a relayer inherits that.
        self.client = httpx.AsyncClient(timeout=config.request_timeout, trust_env=True)
        self.nodes = [Node(node, config.chain_id, self.client) for node in config.nodes if config.enabled]

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Make calls at one node. Raises NodeError, Refused."""
        reasons = []
        for node in self.nodes:
            try:
                return await node.batch(calls)
            except NodeError as error:
                reasons.append(str(error))
        raise NodeError("; ".join(reasons) or "the chain is not enabled")

    async def call(self, method: str, *params: Any) -> Any:
        [result] = await self.batch([(method, list(params))])
        return result

    def saw(self, block: int) -> None:
        for node in self.nodes:
            if node.state == relayer_pb2.NODE_STATE_ALIVE:
                node.latest_block = max(node.latest_block, block)
                return

    async def close(self) -> None:
        await self.client.aclose()
