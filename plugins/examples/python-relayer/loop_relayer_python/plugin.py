"""What the host calls: a root that makes chains, and chains that make a provider for each job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

from google.protobuf.timestamp_pb2 import Timestamp

from loop_contract.hostservice.v1 import keystore_pb2
from loop_contract.plugin.v1 import problem_pb2
from loop_contract.relayer.v1 import relayer_loop, relayer_pb2
from loop_plugin import Code, Host, RpcError, int_of, refuse
from loop_relayer_python import aggregator, config, job
from loop_relayer_python.chain import Follower
from loop_relayer_python.node import NodeError, Nodes, Refused
from loop_relayer_python.provider import SCHEME, ConfigProvider, MedianProvider
from loop_relayer_python.queue import Item, Queue

Change = relayer_pb2.WatchContractConfigsResponse


class Chain(relayer_loop.Chain):
    """One chain: its nodes, the contracts that are followed on it, and a queue for each transmitting account."""

    # The classes of the providers that it makes; a chain that derives from this one names its own.
    config_provider: ClassVar[type[ConfigProvider]] = ConfigProvider
    median_provider: ClassVar[type[MedianProvider]] = MedianProvider

    def __init__(self, relayer: Relayer, parsed: config.Config, loans: relayer_loop.CreateChainLoans) -> None:
        self.relayer, self.config, self.loans = relayer, parsed, loans
        self.logger = relayer.host.logger
        self.nodes = Nodes(parsed)
        self.follower = Follower(parsed, self.nodes, relayer.changed, self.logger)
        self.queues: dict[str, Queue] = {}

    async def close(self) -> None:
        for queue in self.queues.values():
            await queue.close()
        await self.follower.close()
        await self.nodes.close()

    def queue(self, account: str) -> Queue:
        if account not in self.queues:
            self.queues[account] = Queue(
                account, self.config, self.nodes, self.loans.keystore, self.loans.store, self.stale, self.logger
            )
        return self.queues[account]

    async def stale(self, item: Item) -> bool:
        """Whether the contract would refuse a report. Asked before each transaction, which costs more than a call."""
        [output] = await self.nodes.batch([aggregator.view(item.contract, "latestTransmissionDetails")])
        digest, epoch, number, _, _ = aggregator.parse_view("latestTransmissionDetails", output)
        return digest.hex() != item.digest or (epoch, number) >= (item.epoch, item.round)

    async def create_provider(
        self, request: relayer_pb2.CreateProviderRequest
    ) -> tuple[ConfigProvider, relayer_pb2.CreateProviderResponse]:
        if request.provider_type not in job.PROVIDER_TYPES:
            raise refuse(request, "provider_type", f"this relayer has {' and '.join(job.PROVIDER_TYPES)}")
        read = job.of_provider(request, str(self.config.chain_id))
        gas = request.gas_limit or self.config.gas_limit
        if gas < 21_000:
            raise refuse(request, "gas_limit", f"a transaction takes at least 21000, got {gas}")
        if read.problems:
            raise RpcError(Code.INVALID_ARGUMENT, read.refusal())
        contract = self.follower.acquire(read.contract, request.name)
        if request.provider_type == "config":
            provider = self.config_provider(self, request.name, contract)
        else:
            provider = self.median_provider(self, request.name, contract, read.transmitter, gas)
        return provider, relayer_pb2.CreateProviderResponse()

    async def latest_head(self, request: relayer_pb2.LatestHeadRequest) -> relayer_pb2.LatestHeadResponse:
        head = self.follower.head
        if head is None:
            raise RpcError(Code.UNAVAILABLE, "no RPC node has answered yet")
        return relayer_pb2.LatestHeadResponse(number=head.number, hash=head.hash, timestamp=Timestamp(seconds=head.time))

    async def chain_status(self, request: relayer_pb2.ChainStatusRequest) -> relayer_pb2.ChainStatusResponse:
        return relayer_pb2.ChainStatusResponse(
            chain_id=str(self.config.chain_id), enabled=self.config.enabled, config_toml=self.config.redacted()
        )

    async def list_node_statuses(self, request: relayer_pb2.ListNodeStatusesRequest) -> relayer_pb2.ListNodeStatusesResponse:
        nodes = self.nodes.nodes
        token = request.page_token or "0"
        if not token.isascii() or not token.isdigit() or (request.page_token and not 0 < int(token) < len(nodes)):
            raise refuse(request, "page_token", "it is not from a list of this chain's nodes; begin again without one")
        start = int(token)
        end = min(start + (request.page_size or len(nodes)), len(nodes))
        return relayer_pb2.ListNodeStatusesResponse(
            nodes=[
                relayer_pb2.NodeStatus(name=n.config.name, state=n.state, reason=n.reason, latest_block=n.latest_block)
                for n in nodes[start:end]
            ],
            next_page_token=str(end) if end < len(nodes) else "",
            total=len(nodes),
        )

    async def transact(self, request: relayer_pb2.TransactRequest) -> relayer_pb2.TransactResponse:
        accounts = {}
        for field, text in (("from", getattr(request, "from")), ("to", request.to)):
            try:
                accounts[field] = aggregator.address(text)
            except aggregator.FormatError as error:
                raise refuse(request, field, str(error)) from None
        lent = await self.loans.keystore.list_accounts(keystore_pb2.ListAccountsRequest())
        if accounts["from"].lower() not in (account.lower() for account in lent.accounts):
            raise RpcError(Code.NOT_FOUND, f"from: this node has no key for {accounts['from']}")
        amount = int_of(request.amount)
        try:
            if request.check_balance:
                balance = int(await self.nodes.call("eth_getBalance", accounts["from"], "latest"), 16)
                need = amount + 21_000 * self.config.fee_cap
                if balance < need:
                    raise RpcError(Code.FAILED_PRECONDITION, f"the account holds {balance} wei; the transfer needs {need}")
            sent = await self.queue(accounts["from"]).transfer(accounts["to"], amount)
        except NodeError as error:
            raise RpcError(Code.UNAVAILABLE, str(error)) from None
        except Refused as error:
            raise RpcError(Code.FAILED_PRECONDITION, f"the chain refuses the transfer: {error}") from None
        return relayer_pb2.TransactResponse(transaction_hash=sent)

    async def replay(self, request: relayer_pb2.ReplayRequest) -> relayer_pb2.ReplayResponse:
        head = self.follower.head
        if head is None:
            raise RpcError(Code.UNAVAILABLE, "no RPC node has answered yet")
        if request.from_block > head.number:
            raise refuse(request, "from_block", f"it is above the latest block {head.number}")
        try:
            for contract in list(self.follower.contracts.values()):
                contract.scanned = request.from_block - 1
                await self.follower.scan(contract, head)
        except (NodeError, Refused, aggregator.FormatError) as error:
            raise RpcError(Code.UNAVAILABLE, str(error)) from None
        return relayer_pb2.ReplayResponse()

    async def read_contract(self, request: relayer_pb2.ReadContractRequest) -> relayer_pb2.ReadContractResponse:
        call = {"input": "0x" + request.call_data.hex()}
        for field, key, text in (("contract_id", "to", request.contract_id), ("from", "from", getattr(request, "from"))):
            try:
                if text:
                    call[key] = aggregator.address(text)
            except aggregator.FormatError as error:
                raise refuse(request, field, str(error)) from None
        block = request.block.lower() or "latest"
        if block.isascii() and block.isdigit():
            block = hex(int(block))
        elif block not in ("latest", "pending", "safe", "finalized", "earliest"):
            raise refuse(request, "block", "it is neither a block's number nor its name")
        if request.gas_limit:
            call["gas"] = hex(request.gas_limit)
        try:
            output = bytes.fromhex(str(await self.nodes.call("eth_call", call, block)).removeprefix("0x"))
        except Refused as error:
            raise RpcError(Code.FAILED_PRECONDITION, f"the contract refuses the call: {error}") from None
        except (NodeError, ValueError) as error:
            raise RpcError(Code.UNAVAILABLE, str(error)) from None
        if not output:
            raise RpcError(Code.NOT_FOUND, f"nothing answers at {request.contract_id}: there is no such contract or function")
        return relayer_pb2.ReadContractResponse(return_data=output)


class Relayer(relayer_loop.RelayerService):
    """The root of the process. A relayer that begins as this one derives from it, and names its own class of chains."""

    chain: ClassVar[type[Chain]] = Chain
    # The name by which jobs refer to it, and that of its sections in the node's configuration.
    relay: ClassVar[str] = "evm"
    section: ClassVar[str] = "EVM"

    def __init__(self, host: Host) -> None:
        self.host = host
        self.current: dict[str, Change] = {}  # by provider
        self.watchers: set[asyncio.Queue[Change]] = set()

    @classmethod
    def named(cls, relay: str) -> type[Relayer]:
        """This class under another name, so that one program can serve a relay beside loop-evm: acme has sections [[Acme]]."""
        return type(cls.__name__, (cls,), {"relay": relay, "section": relay.capitalize()})

    async def describe_relayer(self, request: relayer_pb2.DescribeRelayerRequest) -> relayer_pb2.DescribeRelayerResponse:
        return relayer_pb2.DescribeRelayerResponse(
            relay=self.relay,
            section=self.section,
            account_algorithm=relayer_pb2.ACCOUNT_ALGORITHM_SECP256K1,
            report_schemes=[relayer_pb2.ReportScheme(name=SCHEME, algorithm=relayer_pb2.REPORT_ALGORITHM_SECP256K1_ADDRESS)],
            reference_toml=config.REFERENCE,
            features=[relayer_pb2.FEATURE_READ_CONTRACT, relayer_pb2.FEATURE_TRANSACT, relayer_pb2.FEATURE_REPLAY],
            provider_types=job.PROVIDER_TYPES,
        )

    async def describe_accounts(self, request: relayer_pb2.DescribeAccountsRequest) -> relayer_pb2.DescribeAccountsResponse:
        names = []
        for i, key in enumerate(request.public_keys):
            try:
                names.append(aggregator.account(key))
            except aggregator.FormatError as error:
                raise refuse(request, f"public_keys[{i}]", str(error)) from None
        return relayer_pb2.DescribeAccountsResponse(names=names)

    async def normalize_ids(self, request: relayer_pb2.NormalizeIdsRequest) -> relayer_pb2.NormalizeIdsResponse:
        response = relayer_pb2.NormalizeIdsResponse()
        for given in request.ids:
            try:
                response.ids.add(text=aggregator.address(given.text))
            except aggregator.FormatError:
                response.ids.add(problem=aggregator.NO_ADDRESS)
        return response

    async def validate_chain(self, request: relayer_pb2.ValidateChainRequest) -> relayer_pb2.ValidateChainResponse:
        _, problems, warnings = config.read(request.config_toml)
        return relayer_pb2.ValidateChainResponse(
            problems=[problem_pb2.Problem(path=path, message=message) for path, message in problems],
            warnings=[problem_pb2.Problem(path=path, message=message) for path, message in warnings],
        )

    async def validate_job(self, request: relayer_pb2.ValidateJobRequest) -> relayer_pb2.ValidateJobResponse:
        return job.validate(request)

    async def create_chain(
        self, request: relayer_pb2.CreateChainRequest, loans: relayer_loop.CreateChainLoans
    ) -> tuple[Chain, relayer_pb2.CreateChainResponse]:
        try:
            parsed = config.parse(request.config_toml)
        except config.ConfigError as error:
            raise refuse(request, "config_toml", str(error)) from None
        if str(parsed.chain_id) != request.chain_id:
            raise refuse(request, "chain_id", "it is not the ChainID of config_toml")
        return self.chain(self, parsed, loans), relayer_pb2.CreateChainResponse()

    async def watch_contract_configs(self, request: relayer_pb2.WatchContractConfigsRequest) -> AsyncIterator[Change]:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        for change in self.current.values():
            changes.put_nowait(change)
        self.watchers.add(changes)
        try:
            while True:
                yield await changes.get()
        finally:
            self.watchers.discard(changes)

    def forget(self, provider: str) -> None:
        self.current.pop(provider, None)

    def changed(self, provider: str, block: int, digest: bytes) -> None:
        change = Change(provider=provider, changed_in_block=block, config_digest=digest)
        self.current[provider] = change
        for changes in self.watchers:
            changes.put_nowait(change)
