import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from loop_contract.plugin.v1 import bigint_pb2 as _bigint_pb2
from loop_contract.plugin.v1 import options_pb2 as _options_pb2
from loop_contract.reporting.v1 import reporting_pb2 as _reporting_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateMedianFactoryRequest(_message.Message):
    __slots__ = ("name", "provider", "value_source", "juels_per_fee_coin_source", "gas_price_subunits_source", "error_log", "include_gas_price_subunits", "deviation_function")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VALUE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    JUELS_PER_FEE_COIN_SOURCE_FIELD_NUMBER: _ClassVar[int]
    GAS_PRICE_SUBUNITS_SOURCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_LOG_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_GAS_PRICE_SUBUNITS_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FUNCTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: str
    value_source: str
    juels_per_fee_coin_source: str
    gas_price_subunits_source: str
    error_log: str
    include_gas_price_subunits: bool
    deviation_function: DeviationFunction
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[str] = ..., value_source: _Optional[str] = ..., juels_per_fee_coin_source: _Optional[str] = ..., gas_price_subunits_source: _Optional[str] = ..., error_log: _Optional[str] = ..., include_gas_price_subunits: _Optional[bool] = ..., deviation_function: _Optional[_Union[DeviationFunction, _Mapping]] = ...) -> None: ...

class DeviationFunction(_message.Message):
    __slots__ = ("type", "expires_at", "multiplier")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    type: str
    expires_at: _timestamp_pb2.Timestamp
    multiplier: _bigint_pb2.BigInt
    def __init__(self, type: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., multiplier: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ...) -> None: ...

class CreateMedianFactoryResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestTransmissionDetailsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LatestTransmissionDetailsResponse(_message.Message):
    __slots__ = ("timestamp", "latest_answer", "latest_timestamp", "transmitter")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    LATEST_ANSWER_FIELD_NUMBER: _ClassVar[int]
    LATEST_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TRANSMITTER_FIELD_NUMBER: _ClassVar[int]
    timestamp: _reporting_pb2.ReportTimestamp
    latest_answer: _bigint_pb2.BigInt
    latest_timestamp: _timestamp_pb2.Timestamp
    transmitter: str
    def __init__(self, timestamp: _Optional[_Union[_reporting_pb2.ReportTimestamp, _Mapping]] = ..., latest_answer: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., latest_timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., transmitter: _Optional[str] = ...) -> None: ...

class LatestRoundRequestedRequest(_message.Message):
    __slots__ = ("lookback",)
    LOOKBACK_FIELD_NUMBER: _ClassVar[int]
    lookback: _duration_pb2.Duration
    def __init__(self, lookback: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LatestRoundRequestedResponse(_message.Message):
    __slots__ = ("timestamp",)
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    timestamp: _reporting_pb2.ReportTimestamp
    def __init__(self, timestamp: _Optional[_Union[_reporting_pb2.ReportTimestamp, _Mapping]] = ...) -> None: ...

class ParsedAttributedObservation(_message.Message):
    __slots__ = ("timestamp", "value", "juels_per_fee_coin", "gas_price_subunits", "observer")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    JUELS_PER_FEE_COIN_FIELD_NUMBER: _ClassVar[int]
    GAS_PRICE_SUBUNITS_FIELD_NUMBER: _ClassVar[int]
    OBSERVER_FIELD_NUMBER: _ClassVar[int]
    timestamp: _timestamp_pb2.Timestamp
    value: _bigint_pb2.BigInt
    juels_per_fee_coin: _bigint_pb2.BigInt
    gas_price_subunits: _bigint_pb2.BigInt
    observer: int
    def __init__(self, timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., juels_per_fee_coin: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., gas_price_subunits: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., observer: _Optional[int] = ...) -> None: ...

class BuildReportRequest(_message.Message):
    __slots__ = ("observations",)
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    observations: _containers.RepeatedCompositeFieldContainer[ParsedAttributedObservation]
    def __init__(self, observations: _Optional[_Iterable[_Union[ParsedAttributedObservation, _Mapping]]] = ...) -> None: ...

class BuildReportResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: bytes
    def __init__(self, report: _Optional[bytes] = ...) -> None: ...

class MedianFromReportRequest(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: bytes
    def __init__(self, report: _Optional[bytes] = ...) -> None: ...

class MedianFromReportResponse(_message.Message):
    __slots__ = ("median",)
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    median: _bigint_pb2.BigInt
    def __init__(self, median: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ...) -> None: ...

class MaxReportLengthRequest(_message.Message):
    __slots__ = ("n",)
    N_FIELD_NUMBER: _ClassVar[int]
    n: int
    def __init__(self, n: _Optional[int] = ...) -> None: ...

class MaxReportLengthResponse(_message.Message):
    __slots__ = ("max_report_length",)
    MAX_REPORT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    max_report_length: int
    def __init__(self, max_report_length: _Optional[int] = ...) -> None: ...

class OnchainConfig(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: _bigint_pb2.BigInt
    max: _bigint_pb2.BigInt
    def __init__(self, min: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ..., max: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ...) -> None: ...

class EncodeOnchainConfigRequest(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: OnchainConfig
    def __init__(self, config: _Optional[_Union[OnchainConfig, _Mapping]] = ...) -> None: ...

class EncodeOnchainConfigResponse(_message.Message):
    __slots__ = ("encoded",)
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    encoded: bytes
    def __init__(self, encoded: _Optional[bytes] = ...) -> None: ...

class DecodeOnchainConfigRequest(_message.Message):
    __slots__ = ("encoded",)
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    encoded: bytes
    def __init__(self, encoded: _Optional[bytes] = ...) -> None: ...

class DecodeOnchainConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: OnchainConfig
    def __init__(self, config: _Optional[_Union[OnchainConfig, _Mapping]] = ...) -> None: ...
