from loop_contract.plugin.v1 import bigint_pb2 as _bigint_pb2
from loop_contract.plugin.v1 import options_pb2 as _options_pb2
from loop_contract.reporting.v1 import reporting_pb2 as _reporting_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ObserveRequest(_message.Message):
    __slots__ = ("timestamp",)
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    timestamp: _reporting_pb2.ReportTimestamp
    def __init__(self, timestamp: _Optional[_Union[_reporting_pb2.ReportTimestamp, _Mapping]] = ...) -> None: ...

class ObserveResponse(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: _bigint_pb2.BigInt
    def __init__(self, value: _Optional[_Union[_bigint_pb2.BigInt, _Mapping]] = ...) -> None: ...
