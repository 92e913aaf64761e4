import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from loop_contract.plugin.v1 import options_pb2 as _options_pb2
from loop_contract.reporting.v1 import reporting_pb2 as _reporting_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ObservationQuorum(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBSERVATION_QUORUM_UNSPECIFIED: _ClassVar[ObservationQuorum]
    OBSERVATION_QUORUM_F_PLUS_ONE: _ClassVar[ObservationQuorum]
    OBSERVATION_QUORUM_TWO_F_PLUS_ONE: _ClassVar[ObservationQuorum]
    OBSERVATION_QUORUM_BYZ_QUORUM: _ClassVar[ObservationQuorum]
    OBSERVATION_QUORUM_N_MINUS_F: _ClassVar[ObservationQuorum]
    OBSERVATION_QUORUM_CALL: _ClassVar[ObservationQuorum]
OBSERVATION_QUORUM_UNSPECIFIED: ObservationQuorum
OBSERVATION_QUORUM_F_PLUS_ONE: ObservationQuorum
OBSERVATION_QUORUM_TWO_F_PLUS_ONE: ObservationQuorum
OBSERVATION_QUORUM_BYZ_QUORUM: ObservationQuorum
OBSERVATION_QUORUM_N_MINUS_F: ObservationQuorum
OBSERVATION_QUORUM_CALL: ObservationQuorum

class CreateOcr3PluginRequest(_message.Message):
    __slots__ = ("name", "config_digest", "oracle_id", "n", "f", "onchain_config", "offchain_config", "estimated_round_interval", "max_duration_query", "max_duration_observation", "max_duration_should_accept_attested_report", "max_duration_should_transmit_accepted_report")
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
    MAX_DURATION_SHOULD_ACCEPT_ATTESTED_REPORT_FIELD_NUMBER: _ClassVar[int]
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
    max_duration_should_accept_attested_report: _duration_pb2.Duration
    max_duration_should_transmit_accepted_report: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., config_digest: _Optional[bytes] = ..., oracle_id: _Optional[int] = ..., n: _Optional[int] = ..., f: _Optional[int] = ..., onchain_config: _Optional[bytes] = ..., offchain_config: _Optional[bytes] = ..., estimated_round_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_query: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_observation: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_should_accept_attested_report: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_duration_should_transmit_accepted_report: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateOcr3PluginResponse(_message.Message):
    __slots__ = ("product", "limits", "observation_quorum")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_QUORUM_FIELD_NUMBER: _ClassVar[int]
    product: str
    limits: Ocr3PluginLimits
    observation_quorum: ObservationQuorum
    def __init__(self, product: _Optional[str] = ..., limits: _Optional[_Union[Ocr3PluginLimits, _Mapping]] = ..., observation_quorum: _Optional[_Union[ObservationQuorum, str]] = ...) -> None: ...

class Ocr3PluginLimits(_message.Message):
    __slots__ = ("max_query_length", "max_observation_length", "max_outcome_length", "max_report_length", "max_report_count", "max_report_info_length")
    MAX_QUERY_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_OBSERVATION_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTCOME_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_REPORT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_REPORT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_REPORT_INFO_LENGTH_FIELD_NUMBER: _ClassVar[int]
    max_query_length: int
    max_observation_length: int
    max_outcome_length: int
    max_report_length: int
    max_report_count: int
    max_report_info_length: int
    def __init__(self, max_query_length: _Optional[int] = ..., max_observation_length: _Optional[int] = ..., max_outcome_length: _Optional[int] = ..., max_report_length: _Optional[int] = ..., max_report_count: _Optional[int] = ..., max_report_info_length: _Optional[int] = ...) -> None: ...

class OutcomeContext(_message.Message):
    __slots__ = ("seq_nr", "previous_outcome")
    SEQ_NR_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    seq_nr: int
    previous_outcome: bytes
    def __init__(self, seq_nr: _Optional[int] = ..., previous_outcome: _Optional[bytes] = ...) -> None: ...

class Ocr3PluginServiceQueryRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: OutcomeContext
    def __init__(self, context: _Optional[_Union[OutcomeContext, _Mapping]] = ...) -> None: ...

class Ocr3PluginServiceQueryResponse(_message.Message):
    __slots__ = ("query",)
    QUERY_FIELD_NUMBER: _ClassVar[int]
    query: bytes
    def __init__(self, query: _Optional[bytes] = ...) -> None: ...

class Ocr3PluginServiceObservationRequest(_message.Message):
    __slots__ = ("context", "query")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    context: OutcomeContext
    query: bytes
    def __init__(self, context: _Optional[_Union[OutcomeContext, _Mapping]] = ..., query: _Optional[bytes] = ...) -> None: ...

class Ocr3PluginServiceObservationResponse(_message.Message):
    __slots__ = ("observation",)
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    observation: bytes
    def __init__(self, observation: _Optional[bytes] = ...) -> None: ...

class Ocr3PluginServiceValidateObservationRequest(_message.Message):
    __slots__ = ("context", "query", "observation")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    context: OutcomeContext
    query: bytes
    observation: _reporting_pb2.AttributedObservation
    def __init__(self, context: _Optional[_Union[OutcomeContext, _Mapping]] = ..., query: _Optional[bytes] = ..., observation: _Optional[_Union[_reporting_pb2.AttributedObservation, _Mapping]] = ...) -> None: ...

class Ocr3PluginServiceValidateObservationResponse(_message.Message):
    __slots__ = ("problem",)
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    problem: str
    def __init__(self, problem: _Optional[str] = ...) -> None: ...

class Ocr3PluginServiceObservationQuorumRequest(_message.Message):
    __slots__ = ("context", "query", "observations")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    context: OutcomeContext
    query: bytes
    observations: _containers.RepeatedCompositeFieldContainer[_reporting_pb2.AttributedObservation]
    def __init__(self, context: _Optional[_Union[OutcomeContext, _Mapping]] = ..., query: _Optional[bytes] = ..., observations: _Optional[_Iterable[_Union[_reporting_pb2.AttributedObservation, _Mapping]]] = ...) -> None: ...

class Ocr3PluginServiceObservationQuorumResponse(_message.Message):
    __slots__ = ("quorum_reached",)
    QUORUM_REACHED_FIELD_NUMBER: _ClassVar[int]
    quorum_reached: bool
    def __init__(self, quorum_reached: _Optional[bool] = ...) -> None: ...

class Ocr3PluginServiceOutcomeRequest(_message.Message):
    __slots__ = ("context", "query", "observations")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    context: OutcomeContext
    query: bytes
    observations: _containers.RepeatedCompositeFieldContainer[_reporting_pb2.AttributedObservation]
    def __init__(self, context: _Optional[_Union[OutcomeContext, _Mapping]] = ..., query: _Optional[bytes] = ..., observations: _Optional[_Iterable[_Union[_reporting_pb2.AttributedObservation, _Mapping]]] = ...) -> None: ...

class Ocr3PluginServiceOutcomeResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: bytes
    def __init__(self, outcome: _Optional[bytes] = ...) -> None: ...

class Ocr3PluginServiceReportsRequest(_message.Message):
    __slots__ = ("seq_nr", "outcome")
    SEQ_NR_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    seq_nr: int
    outcome: bytes
    def __init__(self, seq_nr: _Optional[int] = ..., outcome: _Optional[bytes] = ...) -> None: ...

class Ocr3PluginServiceReportsResponse(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[ReportPlus]
    def __init__(self, reports: _Optional[_Iterable[_Union[ReportPlus, _Mapping]]] = ...) -> None: ...

class ReportWithInfo(_message.Message):
    __slots__ = ("report", "info")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    report: bytes
    info: bytes
    def __init__(self, report: _Optional[bytes] = ..., info: _Optional[bytes] = ...) -> None: ...

class ReportPlus(_message.Message):
    __slots__ = ("report", "schedule")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    report: ReportWithInfo
    schedule: TransmissionSchedule
    def __init__(self, report: _Optional[_Union[ReportWithInfo, _Mapping]] = ..., schedule: _Optional[_Union[TransmissionSchedule, _Mapping]] = ...) -> None: ...

class TransmissionSchedule(_message.Message):
    __slots__ = ("transmitters", "delays")
    TRANSMITTERS_FIELD_NUMBER: _ClassVar[int]
    DELAYS_FIELD_NUMBER: _ClassVar[int]
    transmitters: _containers.RepeatedScalarFieldContainer[int]
    delays: _containers.RepeatedCompositeFieldContainer[_duration_pb2.Duration]
    def __init__(self, transmitters: _Optional[_Iterable[int]] = ..., delays: _Optional[_Iterable[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]]] = ...) -> None: ...

class Ocr3PluginServiceShouldAcceptAttestedReportRequest(_message.Message):
    __slots__ = ("seq_nr", "report")
    SEQ_NR_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    seq_nr: int
    report: ReportWithInfo
    def __init__(self, seq_nr: _Optional[int] = ..., report: _Optional[_Union[ReportWithInfo, _Mapping]] = ...) -> None: ...

class Ocr3PluginServiceShouldAcceptAttestedReportResponse(_message.Message):
    __slots__ = ("should_accept",)
    SHOULD_ACCEPT_FIELD_NUMBER: _ClassVar[int]
    should_accept: bool
    def __init__(self, should_accept: _Optional[bool] = ...) -> None: ...

class Ocr3PluginServiceShouldTransmitAcceptedReportRequest(_message.Message):
    __slots__ = ("seq_nr", "report")
    SEQ_NR_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    seq_nr: int
    report: ReportWithInfo
    def __init__(self, seq_nr: _Optional[int] = ..., report: _Optional[_Union[ReportWithInfo, _Mapping]] = ...) -> None: ...

class Ocr3PluginServiceShouldTransmitAcceptedReportResponse(_message.Message):
    __slots__ = ("should_transmit",)
    SHOULD_TRANSMIT_FIELD_NUMBER: _ClassVar[int]
    should_transmit: bool
    def __init__(self, should_transmit: _Optional[bool] = ...) -> None: ...
