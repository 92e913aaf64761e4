import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from loop_contract.plugin.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportTimestamp(_message.Message):
    __slots__ = ("config_digest", "epoch", "round")
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    config_digest: bytes
    epoch: int
    round: int
    def __init__(self, config_digest: _Optional[bytes] = ..., epoch: _Optional[int] = ..., round: _Optional[int] = ...) -> None: ...

class ReportContext(_message.Message):
    __slots__ = ("timestamp", "extra_hash")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    EXTRA_HASH_FIELD_NUMBER: _ClassVar[int]
    timestamp: ReportTimestamp
    extra_hash: bytes
    def __init__(self, timestamp: _Optional[_Union[ReportTimestamp, _Mapping]] = ..., extra_hash: _Optional[bytes] = ...) -> None: ...

class CreateReportingPluginRequest(_message.Message):
    __slots__ = ("name", "config_digest", "oracle_id", "n", "f", "onchain_config", "offchain_config", "estimated_round_interval", "max_duration_query", "max_duration_observation", "max_duration_report", "max_duration_should_accept_finalized_report", "max_duration_should_transmit_accepted_report")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ORACLE_ID_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    F_FIELD_NUMBER: _ClassVar[int]
    ONCHAIN_CONFIG_FIELD_NUMBER: _ClassVar[int]
    OFFCHAIN_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_ROUND_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_QUERY_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_REPORT_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_SHOULD_ACCEPT_FINALIZED_REPORT_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_SHOULD_TRANSMIT_ACCEPTED_REPORT_FIELD_NUMBER: _ClassVar[int]
    name: str
    config_digest: bytes
    oracle_id: int
    n: int
    f: int
    onchain_config: bytes
    offchain_config: bytes
    estimated_round_interval: _duration_pb2.Duration
    max_duration_query: _duration_pb2.Duration
    max_duration_observation: _duration_pb2.Duration
    max_duration_report: _duration_pb2.Duration
    max_duration_should_accept_finalized_report: _duration_pb2.Duration
    max_duration_should_transmit_accepted_report: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., config_digest: _Optional[bytes] = ..., oracle_id: _Optional[int] = ..., n: _Optional[int] = ..., f: _Optional[int] = ..., onchain_config: _Optional[bytes] = ..., offchain_config: _Optional[bytes] = ..., estimated_round_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_query: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_observation: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_report: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_should_accept_finalized_report: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_should_transmit_accepted_report: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateReportingPluginResponse(_message.Message):
    __slots__ = ("product", "unique_reports", "limits")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    product: str
    unique_reports: bool
    limits: ReportingPluginLimits
    def __init__(self, product: _Optional[str] = ..., unique_reports: _Optional[bool] = ..., limits: _Optional[_Union[ReportingPluginLimits, _Mapping]] = ...) -> None: ...

class ReportingPluginLimits(_message.Message):
    __slots__ = ("max_query_length", "max_observation_length", "max_report_length")
    MAX_QUERY_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_OBSERVATION_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_REPORT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    max_query_length: int
    max_observation_length: int
    max_report_length: int
    def __init__(self, max_query_length: _Optional[int] = ..., max_observation_length: _Optional[int] = ..., max_report_length: _Optional[int] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("timestamp",)
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    timestamp: ReportTimestamp
    def __init__(self, timestamp: _Optional[_Union[ReportTimestamp, _Mapping]] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("query",)
    QUERY_FIELD_NUMBER: _ClassVar[int]
    query: bytes
    def __init__(self, query: _Optional[bytes] = ...) -> None: ...

class ObservationRequest(_message.Message):
    __slots__ = ("timestamp", "query")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    timestamp: ReportTimestamp
    query: bytes
    def __init__(self, timestamp: _Optional[_Union[ReportTimestamp, _Mapping]] = ..., query: _Optional[bytes] = ...) -> None: ...

class ObservationResponse(_message.Message):
    __slots__ = ("observation",)
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    observation: bytes
    def __init__(self, observation: _Optional[bytes] = ...) -> None: ...

class AttributedObservation(_message.Message):
    __slots__ = ("observation", "observer")
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    OBSERVER_FIELD_NUMBER: _ClassVar[int]
    observation: bytes
    observer: int
    def __init__(self, observation: _Optional[bytes] = ..., observer: _Optional[int] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("timestamp", "query", "observations")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    timestamp: ReportTimestamp
    query: bytes
    observations: _containers.RepeatedCompositeFieldContainer[AttributedObservation]
    def __init__(self, timestamp: _Optional[_Union[ReportTimestamp, _Mapping]] = ..., query: _Optional[bytes] = ..., observations: _Optional[_Iterable[_Union[AttributedObservation, _Mapping]]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("should_report", "report")
    SHOULD_REPORT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    should_report: bool
    report: bytes
    def __init__(self, should_report: _Optional[bool] = ..., report: _Optional[bytes] = ...) -> None: ...

class ShouldAcceptFinalizedReportRequest(_message.Message):
    __slots__ = ("timestamp", "report")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    timestamp: ReportTimestamp
    report: bytes
    def __init__(self, timestamp: _Optional[_Union[ReportTimestamp, _Mapping]] = ..., report: _Optional[bytes] = ...) -> None: ...

class ShouldAcceptFinalizedReportResponse(_message.Message):
    __slots__ = ("should_accept",)
    SHOULD_ACCEPT_FIELD_NUMBER: _ClassVar[int]
    should_accept: bool
    def __init__(self, should_accept: _Optional[bool] = ...) -> None: ...

class ShouldTransmitAcceptedReportRequest(_message.Message):
    __slots__ = ("timestamp", "report")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    timestamp: ReportTimestamp
    report: bytes
    def __init__(self, timestamp: _Optional[_Union[ReportTimestamp, _Mapping]] = ..., report: _Optional[bytes] = ...) -> None: ...

class ShouldTransmitAcceptedReportResponse(_message.Message):
    __slots__ = ("should_transmit",)
    SHOULD_TRANSMIT_FIELD_NUMBER: _ClassVar[int]
    should_transmit: bool
    def __init__(self, should_transmit: _Optional[bool] = ...) -> None: ...
