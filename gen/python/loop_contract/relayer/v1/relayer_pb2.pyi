import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from loop_contract.plugin.v1 import bigint_pb2 as _bigint_pb2
from loop_contract.plugin.v1 import options_pb2 as _options_pb2
from loop_contract.plugin.v1 import problem_pb2 as _problem_pb2
from loop_contract.reporting.v1 import reporting_pb2 as _reporting_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_ALGORITHM_UNSPECIFIED: _ClassVar[AccountAlgorithm]
    ACCOUNT_ALGORITHM_SECP256K1: _ClassVar[AccountAlgorithm]
    ACCOUNT_ALGORITHM_ED25519: _ClassVar[AccountAlgorithm]
    ACCOUNT_ALGORITHM_STARK: _ClassVar[AccountAlgorithm]

class ReportAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_ALGORITHM_UNSPECIFIED: _ClassVar[ReportAlgorithm]
    REPORT_ALGORITHM_SECP256K1_ADDRESS: _ClassVar[ReportAlgorithm]
    REPORT_ALGORITHM_ED25519: _ClassVar[ReportAlgorithm]
    REPORT_ALGORITHM_STARK: _ClassVar[ReportAlgorithm]

class Feature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_UNSPECIFIED: _ClassVar[Feature]
    FEATURE_READ_CONTRACT: _ClassVar[Feature]
    FEATURE_TRANSACT: _ClassVar[Feature]
    FEATURE_REPLAY: _ClassVar[Feature]

class IdKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ID_KIND_UNSPECIFIED: _ClassVar[IdKind]
    ID_KIND_ACCOUNT: _ClassVar[IdKind]
    ID_KIND_CONTRACT: _ClassVar[IdKind]

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNSPECIFIED: _ClassVar[NodeState]
    NODE_STATE_CONNECTING: _ClassVar[NodeState]
    NODE_STATE_ALIVE: _ClassVar[NodeState]
    NODE_STATE_UNREACHABLE: _ClassVar[NodeState]
    NODE_STATE_WRONG_CHAIN: _ClassVar[NodeState]
ACCOUNT_ALGORITHM_UNSPECIFIED: AccountAlgorithm
ACCOUNT_ALGORITHM_SECP256K1: AccountAlgorithm
ACCOUNT_ALGORITHM_ED25519: AccountAlgorithm
ACCOUNT_ALGORITHM_STARK: AccountAlgorithm
REPORT_ALGORITHM_UNSPECIFIED: ReportAlgorithm
REPORT_ALGORITHM_SECP256K1_ADDRESS: ReportAlgorithm
REPORT_ALGORITHM_ED25519: ReportAlgorithm
REPORT_ALGORITHM_STARK: ReportAlgorithm
FEATURE_UNSPECIFIED: Feature
FEATURE_READ_CONTRACT: Feature
FEATURE_TRANSACT: Feature
FEATURE_REPLAY: Feature
ID_KIND_UNSPECIFIED: IdKind
ID_KIND_ACCOUNT: IdKind
ID_KIND_CONTRACT: IdKind
NODE_STATE_UNSPECIFIED: NodeState
NODE_STATE_CONNECTING: NodeState
NODE_STATE_ALIVE: NodeState
NODE_STATE_UNREACHABLE: NodeState
NODE_STATE_WRONG_CHAIN: NodeState

class DescribeRelayerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeRelayerResponse(_message.Message):
    __slots__ = ("relay", "section", "account_algorithm", "report_schemes", "reference_toml", "features", "provider_types")
    RELAY_FIELD_NUMBER: _ClassVar[int]
    SECTION_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    REPORT_SCHEMES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TOML_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPES_FIELD_NUMBER: _ClassVar[int]
    relay: str
    section: str
    account_algorithm: AccountAlgorithm
    report_schemes: _containers.RepeatedCompositeFieldContainer[ReportScheme]
    reference_toml: str
    features: _containers.RepeatedScalarFieldContainer[Feature]
    provider_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, relay: _Optional[str] = ..., section: _Optional[str] = ..., account_algorithm: _Optional[_Union[AccountAlgorithm, str]] = ..., report_schemes: _Optional[_Iterable[_Union[ReportScheme, _Mapping]]] = ..., reference_toml: _Optional[str] = ..., features: _Optional[_Iterable[_Union[Feature, str]]] = ..., provider_types: _Optional[_Iterable[str]] = ...) -> None: ...

class ReportScheme(_message.Message):
    __slots__ = ("name", "algorithm")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    name: str
    algorithm: ReportAlgorithm
    def __init__(self, name: _Optional[str] = ..., algorithm: _Optional[_Union[ReportAlgorithm, str]] = ...) -> None: ...

class DescribeAccountsRequest(_message.Message):
    __slots__ = ("public_keys",)
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    public_keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, public_keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DescribeAccountsResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class NormalizeIdsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedCompositeFieldContainer[Id]
    def __init__(self, ids: _Optional[_Iterable[_Union[Id, _Mapping]]] = ...) -> None: ...

class Id(_message.Message):
    __slots__ = ("kind", "text")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    kind: IdKind
    text: str
    def __init__(self, kind: _Optional[_Union[IdKind, str]] = ..., text: _Optional[str] = ...) -> None: ...

class NormalizeIdsResponse(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedCompositeFieldContainer[NormalizedId]
    def __init__(self, ids: _Optional[_Iterable[_Union[NormalizedId, _Mapping]]] = ...) -> None: ...

class NormalizedId(_message.Message):
    __slots__ = ("text", "problem")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    text: str
    problem: str
    def __init__(self, text: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class ValidateChainRequest(_message.Message):
    __slots__ = ("config_toml",)
    CONFIG_TOML_FIELD_NUMBER: _ClassVar[int]
    config_toml: bytes
    def __init__(self, config_toml: _Optional[bytes] = ...) -> None: ...

class ValidateChainResponse(_message.Message):
    __slots__ = ("problems", "warnings")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[_problem_pb2.Problem]
    warnings: _containers.RepeatedCompositeFieldContainer[_problem_pb2.Problem]
    def __init__(self, problems: _Optional[_Iterable[_Union[_problem_pb2.Problem, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_problem_pb2.Problem, _Mapping]]] = ...) -> None: ...

class ValidateJobRequest(_message.Message):
    __slots__ = ("chain_id", "contract_id", "transmitter_id", "relay_config_json", "provider_type")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSMITTER_ID_FIELD_NUMBER: _ClassVar[int]
    RELAY_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    contract_id: str
    transmitter_id: str
    relay_config_json: bytes
    provider_type: str
    def __init__(self, chain_id: _Optional[str] = ..., contract_id: _Optional[str] = ..., transmitter_id: _Optional[str] = ..., relay_config_json: _Optional[bytes] = ..., provider_type: _Optional[str] = ...) -> None: ...

class ValidateJobResponse(_message.Message):
    __slots__ = ("problems", "warnings", "relay_config_json", "contract_key", "transmitter_key", "from_account")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    RELAY_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_KEY_FIELD_NUMBER: _ClassVar[int]
    TRANSMITTER_KEY_FIELD_NUMBER: _ClassVar[int]
    FROM_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[_problem_pb2.Problem]
    warnings: _containers.RepeatedCompositeFieldContainer[_problem_pb2.Problem]
    relay_config_json: bytes
    contract_key: str
    transmitter_key: str
    from_account: str
    def __init__(self, problems: _Optional[_Iterable[_Union[_problem_pb2.Problem, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_problem_pb2.Problem, _Mapping]]] = ..., relay_config_json: _Optional[bytes] = ..., contract_key: _Optional[str] = ..., transmitter_key: _Optional[str] = ..., from_account: _Optional[str] = ...) -> None: ...

class CreateChainRequest(_message.Message):
    __slots__ = ("name", "chain_id", "config_toml", "keystore", "store")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_TOML_FIELD_NUMBER: _ClassVar[int]
    KEYSTORE_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    chain_id: str
    config_toml: bytes
    keystore: str
    store: str
    def __init__(self, name: _Optional[str] = ..., chain_id: _Optional[str] = ..., config_toml: _Optional[bytes] = ..., keystore: _Optional[str] = ..., store: _Optional[str] = ...) -> None: ...

class CreateChainResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchContractConfigsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchContractConfigsResponse(_message.Message):
    __slots__ = ("provider", "changed_in_block", "config_digest")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_IN_BLOCK_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    provider: str
    changed_in_block: int
    config_digest: bytes
    def __init__(self, provider: _Optional[str] = ..., changed_in_block: _Optional[int] = ..., config_digest: _Optional[bytes] = ...) -> None: ...

class ProviderConfig(_message.Message):
    __slots__ = ("external_job_id", "contract_id", "relay_config_json")
    EXTERNAL_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    RELAY_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    external_job_id: str
    contract_id: str
    relay_config_json: bytes
    def __init__(self, external_job_id: _Optional[str] = ..., contract_id: _Optional[str] = ..., relay_config_json: _Optional[bytes] = ...) -> None: ...

class CreateProviderRequest(_message.Message):
    __slots__ = ("name", "provider_type", "config", "transmitter_id", "gas_limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    TRANSMITTER_ID_FIELD_NUMBER: _ClassVar[int]
    GAS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider_type: str
    config: ProviderConfig
    transmitter_id: str
    gas_limit: int
    def __init__(self, name: _Optional[str] = ..., provider_type: _Optional[str] = ..., config: _Optional[_Union[ProviderConfig, _Mapping]] = ..., transmitter_id: _Optional[str] = ..., gas_limit: _Optional[int] = ...) -> None: ...

class CreateProviderResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestHeadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestHeadResponse(_message.Message):
    __slots__ = ("number", "hash", "timestamp")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    number: int
    hash: bytes
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., hash: _Optional[bytes] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ChainStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChainStatusResponse(_message.Message):
    __slots__ = ("chain_id", "enabled", "config_toml", "troubles", "accounts")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    CONFIG_TOML_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    enabled: bool
    config_toml: str
    troubles: _containers.RepeatedScalarFieldContainer[str]
    accounts: _containers.RepeatedCompositeFieldContainer[AccountStatus]
    def __init__(self, chain_id: _Optional[str] = ..., enabled: _Optional[bool] = ..., config_toml: _Optional[str] = ..., troubles: _Optional[_Iterable[str]] = ..., accounts: _Optional[_Iterable[_Union[AccountStatus, _Mapping]]] = ...) -> None: ...

class AccountStatus(_message.Message):
    __slots__ = ("account", "balance", "decimals", "trouble", "oldest_waiting")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAITING_FIELD_NUMBER: _ClassVar[int]
    account: str
    balance: _bigint_pb2.BigInt
    decimals: int
    trouble: str
    oldest_waiting: _duration_pb2.Duration
    def __init__(self, account: _Optional[str] = ..., balance: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., decimals: _Optional[int] = ..., trouble: _Optional[str] = ..., oldest_waiting: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListNodeStatusesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNodeStatusesResponse(_message.Message):
    __slots__ = ("nodes", "next_page_token", "total")
    NODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    next_page_token: str
    total: int
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("name", "state", "reason", "latest_block", "latency")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LATEST_BLOCK_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: NodeState
    reason: str
    latest_block: int
    latency: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ..., reason: _Optional[str] = ..., latest_block: _Optional[int] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TransactRequest(_message.Message):
    __slots__ = ("to", "amount", "check_balance")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CHECK_BALANCE_FIELD_NUMBER: _ClassVar[int]
    to: str
    amount: _bigint_pb2.BigInt
    check_balance: bool
    def __init__(self, to: _Optional[str] = ..., amount: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., check_balance: _Optional[bool] = ..., **kwargs) -> None: ...

class TransactResponse(_message.Message):
    __slots__ = ("transaction_hash",)
    TRANSACTION_HASH_FIELD_NUMBER: _ClassVar[int]
    transaction_hash: str
    def __init__(self, transaction_hash: _Optional[str] = ...) -> None: ...

class ReplayRequest(_message.Message):
    __slots__ = ("from_block",)
    FROM_BLOCK_FIELD_NUMBER: _ClassVar[int]
    from_block: int
    def __init__(self, from_block: _Optional[int] = ...) -> None: ...

class ReplayResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadContractRequest(_message.Message):
    __slots__ = ("contract_id", "call_data", "block", "gas_limit")
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_DATA_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    GAS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    contract_id: str
    call_data: bytes
    block: str
    gas_limit: int
    def __init__(self, contract_id: _Optional[str] = ..., call_data: _Optional[bytes] = ..., block: _Optional[str] = ..., gas_limit: _Optional[int] = ..., **kwargs) -> None: ...

class ReadContractResponse(_message.Message):
    __slots__ = ("return_data",)
    RETURN_DATA_FIELD_NUMBER: _ClassVar[int]
    return_data: bytes
    def __init__(self, return_data: _Optional[bytes] = ...) -> None: ...

class LatestConfigDetailsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestConfigDetailsResponse(_message.Message):
    __slots__ = ("changed_in_block", "config_digest")
    CHANGED_IN_BLOCK_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    changed_in_block: int
    config_digest: bytes
    def __init__(self, changed_in_block: _Optional[int] = ..., config_digest: _Optional[bytes] = ...) -> None: ...

class LatestConfigRequest(_message.Message):
    __slots__ = ("changed_in_block",)
    CHANGED_IN_BLOCK_FIELD_NUMBER: _ClassVar[int]
    changed_in_block: int
    def __init__(self, changed_in_block: _Optional[int] = ...) -> None: ...

class LatestConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: ContractConfig
    def __init__(self, config: _Optional[_Union[ContractConfig, _Mapping]] = ...) -> None: ...

class ContractConfig(_message.Message):
    __slots__ = ("config_digest", "config_count", "signers", "transmitters", "f", "onchain_config", "offchain_config_version", "offchain_config")
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONFIG_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    TRANSMITTERS_FIELD_NUMBER: _ClassVar[int]
    F_FIELD_NUMBER: _ClassVar[int]
    ONCHAIN_CONFIG_FIELD_NUMBER: _ClassVar[int]
    OFFCHAIN_CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFCHAIN_CONFIG_FIELD_NUMBER: _ClassVar[int]
    config_digest: bytes
    config_count: int
    signers: _containers.RepeatedScalarFieldContainer[bytes]
    transmitters: _containers.RepeatedScalarFieldContainer[str]
    f: int
    onchain_config: bytes
    offchain_config_version: int
    offchain_config: bytes
    def __init__(self, config_digest: _Optional[bytes] = ..., config_count: _Optional[int] = ..., signers: _Optional[_Iterable[bytes]] = ..., transmitters: _Optional[_Iterable[str]] = ..., f: _Optional[int] = ..., onchain_config: _Optional[bytes] = ..., offchain_config_version: _Optional[int] = ..., offchain_config: _Optional[bytes] = ...) -> None: ...

class LatestBlockHeightRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestBlockHeightResponse(_message.Message):
    __slots__ = ("block_height",)
    BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    block_height: int
    def __init__(self, block_height: _Optional[int] = ...) -> None: ...

class ConfigDigestRequest(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: ContractConfig
    def __init__(self, config: _Optional[_Union[ContractConfig, _Mapping]] = ...) -> None: ...

class ConfigDigestResponse(_message.Message):
    __slots__ = ("config_digest",)
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    config_digest: bytes
    def __init__(self, config_digest: _Optional[bytes] = ...) -> None: ...

class ConfigDigestPrefixRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConfigDigestPrefixResponse(_message.Message):
    __slots__ = ("prefix",)
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    prefix: int
    def __init__(self, prefix: _Optional[int] = ...) -> None: ...

class AttributedOnchainSignature(_message.Message):
    __slots__ = ("signature", "signer")
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    signature: bytes
    signer: int
    def __init__(self, signature: _Optional[bytes] = ..., signer: _Optional[int] = ...) -> None: ...

class TransmitRequest(_message.Message):
    __slots__ = ("report_context", "report", "signatures")
    REPORT_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    report_context: _reporting_pb2.ReportContext
    report: bytes
    signatures: _containers.RepeatedCompositeFieldContainer[AttributedOnchainSignature]
    def __init__(self, report_context: _Optional[_Union[_reporting_pb2.ReportContext, _Mapping]] = ..., report: _Optional[bytes] = ..., signatures: _Optional[_Iterable[_Union[AttributedOnchainSignature, _Mapping]]] = ...) -> None: ...

class TransmitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestConfigDigestAndEpochRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestConfigDigestAndEpochResponse(_message.Message):
    __slots__ = ("config_digest", "epoch")
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    config_digest: bytes
    epoch: int
    def __init__(self, config_digest: _Optional[bytes] = ..., epoch: _Optional[int] = ...) -> None: ...

class FromAccountRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FromAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    def __init__(self, account: _Optional[str] = ...) -> None: ...

class DigestReportsRequest(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[ReportToDigest]
    def __init__(self, reports: _Optional[_Iterable[_Union[ReportToDigest, _Mapping]]] = ...) -> None: ...

class ReportToDigest(_message.Message):
    __slots__ = ("report_context", "report")
    REPORT_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report_context: _reporting_pb2.ReportContext
    report: bytes
    def __init__(self, report_context: _Optional[_Union[_reporting_pb2.ReportContext, _Mapping]] = ..., report: _Optional[bytes] = ...) -> None: ...

class DigestReportsResponse(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedCompositeFieldContainer[ReportDigest]
    def __init__(self, digests: _Optional[_Iterable[_Union[ReportDigest, _Mapping]]] = ...) -> None: ...

class ReportDigest(_message.Message):
    __slots__ = ("message", "scheme", "problem")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    scheme: str
    problem: str
    def __init__(self, message: _Optional[bytes] = ..., scheme: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...
