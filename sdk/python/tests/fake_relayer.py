"""A relayer without a chain, which does as its configuration says."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

from google.protobuf.timestamp_pb2 import Timestamp

from loop_contract.hostservice.v1 import keystore_pb2
from loop_contract.relayer.v1 import relayer_loop, relayer_pb2
from loop_plugin import Code, Host, RpcError, end, process, refuse, serve, start


def stand_still() -> None:
    """Have the process get no processor for 3 s once its end has begun."""
    begin = process._end_within

    def begin_and_stop(seconds: float) -> None:
        begin(seconds)
        subprocess.Popen(["sh", "-c", f"sleep 3; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)

    process._end_within = begin_and_stop


class Fake(relayer_loop.RelayerService):
    def __init__(self, host: Host) -> None:
        self.host = host
        self.made = 0
        self.go = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.let_go)

    async def hold(self, method: str) -> None:
        """Wait until the test sends SIGUSR1, after a line of the log that says so."""
        self.host.logger.info("held in " + method)
        await self.go.wait()

    def let_go(self) -> None:
        self.go.set()
        self.go.clear()

    async def describe_relayer(self, request: relayer_pb2.DescribeRelayerRequest) -> relayer_pb2.DescribeRelayerResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the fake does not say")

    async def describe_accounts(self, request: relayer_pb2.DescribeAccountsRequest) -> relayer_pb2.DescribeAccountsResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the fake does not say")

    async def normalize_ids(self, request: relayer_pb2.NormalizeIdsRequest) -> relayer_pb2.NormalizeIdsResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the fake does not say")

    async def validate_chain(self, request: relayer_pb2.ValidateChainRequest) -> relayer_pb2.ValidateChainResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the fake does not say")

    async def validate_job(self, request: relayer_pb2.ValidateJobRequest) -> relayer_pb2.ValidateJobResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the fake does not say")

    async def create_chain(
        self, request: relayer_pb2.CreateChainRequest, loans: relayer_loop.CreateChainLoans
    ) -> tuple[relayer_loop.Chain, relayer_pb2.CreateChainResponse]:
        mode = request.config_toml.decode()
        if mode == "refuse":
            raise refuse(request, "config_toml", "is not to my taste")
        if mode == "raise":
            raise ValueError("the secret in the configuration")
        if mode == "exit":
            sys.exit(7)
        self.made += 1
        number = self.made
        if mode == "stand still":
            stand_still()
        if mode == "hold":
            await self.hold("create_chain")
        return Chain(self, mode, number, loans), relayer_pb2.CreateChainResponse()

    async def watch_contract_configs(
        self, request: relayer_pb2.WatchContractConfigsRequest
    ) -> AsyncIterator[relayer_pb2.WatchContractConfigsResponse]:
        yield relayer_pb2.WatchContractConfigsResponse(provider="p", config_digest=bytes(32))
        await asyncio.Event().wait()


class Chain(relayer_loop.Chain):
    def __init__(self, root: Fake, mode: str, number: int, loans: relayer_loop.CreateChainLoans) -> None:
        self.root, self.mode, self.number, self.loans = root, mode, number, loans
        if mode == "child":
            self.child = subprocess.Popen(["sleep", "600"])  # holds the plugin's stderr
        self.poller = start(asyncio.to_thread(time.sleep, 60)) if mode == "poll" else None

    async def close(self) -> None:
        if self.poller is not None:
            await end(self.poller)
        if self.mode.startswith("close for "):
            await asyncio.sleep(float(self.mode.removeprefix("close for ")))
        self.root.host.logger.info("closed", extra={"object": self.number})

    async def create_provider(
        self, request: relayer_pb2.CreateProviderRequest
    ) -> tuple[relayer_loop.Provider, relayer_pb2.CreateProviderResponse]:
        return Provider(self.root), relayer_pb2.CreateProviderResponse()

    async def latest_head(self, request: relayer_pb2.LatestHeadRequest) -> relayer_pb2.LatestHeadResponse:
        return relayer_pb2.LatestHeadResponse(number=self.number, timestamp=Timestamp())

    async def chain_status(self, request: relayer_pb2.ChainStatusRequest) -> relayer_pb2.ChainStatusResponse:
        if self.mode == "broken answer":
            return relayer_pb2.ChainStatusResponse()
        if self.mode == "large answer":
            return relayer_pb2.ChainStatusResponse(chain_id="1", config_toml="x" * (16 << 20))
        if self.mode == "wrong answer":
            return relayer_pb2.LatestHeadResponse()  # type: ignore[return-value]
        listed = await self.loans.keystore.list_accounts(keystore_pb2.ListAccountsRequest())
        return relayer_pb2.ChainStatusResponse(chain_id=",".join(listed.accounts))

    async def list_node_statuses(self, request: relayer_pb2.ListNodeStatusesRequest) -> relayer_pb2.ListNodeStatusesResponse:
        await asyncio.sleep(request.page_size / 1000)
        return relayer_pb2.ListNodeStatusesResponse(total=1)

    async def transact(self, request: relayer_pb2.TransactRequest) -> relayer_pb2.TransactResponse:
        raise RpcError(Code.NOT_FOUND, "no such key")

    async def replay(self, request: relayer_pb2.ReplayRequest) -> relayer_pb2.ReplayResponse:
        time.sleep(request.from_block)  # noqa: ASYNC251  # blocks the loop, as an author's mistake does
        return relayer_pb2.ReplayResponse()

    async def read_contract(self, request: relayer_pb2.ReadContractRequest) -> relayer_pb2.ReadContractResponse:
        raise RpcError(Code.UNIMPLEMENTED, "the fake reads no contracts")


class Provider(relayer_loop.Provider):
    def __init__(self, root: Fake) -> None:
        self.root = root

    def close(self) -> None:
        self.root.host.logger.info("closed", extra={"object": "provider"})

    async def latest_config_details(
        self, request: relayer_pb2.LatestConfigDetailsRequest
    ) -> relayer_pb2.LatestConfigDetailsResponse:
        return relayer_pb2.LatestConfigDetailsResponse(config_digest=bytes(31))

    async def latest_config(self, request: relayer_pb2.LatestConfigRequest) -> relayer_pb2.LatestConfigResponse:
        raise NotImplementedError

    async def latest_block_height(self, request: relayer_pb2.LatestBlockHeightRequest) -> relayer_pb2.LatestBlockHeightResponse:
        await self.root.hold("latest_block_height")
        return relayer_pb2.LatestBlockHeightResponse(block_height=7)

    async def config_digest(self, request: relayer_pb2.ConfigDigestRequest) -> relayer_pb2.ConfigDigestResponse:
        return relayer_pb2.ConfigDigestResponse(config_digest=bytes(32))

    async def config_digest_prefix(
        self, request: relayer_pb2.ConfigDigestPrefixRequest
    ) -> relayer_pb2.ConfigDigestPrefixResponse:
        return relayer_pb2.ConfigDigestPrefixResponse(prefix=1)


if __name__ == "__main__":
    serve(Fake, version="v1.2.3")
