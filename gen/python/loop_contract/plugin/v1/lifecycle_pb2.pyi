import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from loop_contract.plugin.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InitRequest(_message.Message):
    __slots__ = ("host_address", "host_certificate_pem", "client_certificate_pem", "client_key_pem", "generation", "max_message_bytes", "host_version", "telemetry")
    HOST_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOST_CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CLIENT_CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CLIENT_KEY_PEM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_VERSION_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    host_address: str
    host_certificate_pem: str
    client_certificate_pem: str
    client_key_pem: str
    generation: int
    max_message_bytes: int
    host_version: str
    telemetry: str
    def __init__(self, host_address: _Optional[str] = ..., host_certificate_pem: _Optional[str] = ..., client_certificate_pem: _Optional[str] = ..., client_key_pem: _Optional[str] = ..., generation: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., host_version: _Optional[str] = ..., telemetry: _Optional[str] = ...) -> None: ...

class InitResponse(_message.Message):
    __slots__ = ("version", "runtime")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    version: str
    runtime: str
    def __init__(self, version: _Optional[str] = ..., runtime: _Optional[str] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, objects: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CollectMetricsRequest(_message.Message):
    __slots__ = ("accept",)
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    accept: str
    def __init__(self, accept: _Optional[str] = ...) -> None: ...

class CollectMetricsResponse(_message.Message):
    __slots__ = ("content_type", "exposition")
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPOSITION_FIELD_NUMBER: _ClassVar[int]
    content_type: str
    exposition: bytes
    def __init__(self, content_type: _Optional[str] = ..., exposition: _Optional[bytes] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("grace",)
    GRACE_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    def __init__(self, grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
