import datetime

from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
PLUGIN_FIELD_NUMBER: _ClassVar[int]
plugin: _descriptor.FieldDescriptor
OBJECT_FIELD_NUMBER: _ClassVar[int]
object: _descriptor.FieldDescriptor
HOST_SERVICE_FIELD_NUMBER: _ClassVar[int]
host_service: _descriptor.FieldDescriptor
METHOD_FIELD_NUMBER: _ClassVar[int]
method: _descriptor.FieldDescriptor
CREATES_FIELD_NUMBER: _ClassVar[int]
creates: _descriptor.FieldDescriptor
LENDS_FIELD_NUMBER: _ClassVar[int]
lends: _descriptor.FieldDescriptor
NAMES_FIELD_NUMBER: _ClassVar[int]
names: _descriptor.FieldDescriptor
RULES_FIELD_NUMBER: _ClassVar[int]
rules: _descriptor.FieldDescriptor

class Plugin(_message.Message):
    __slots__ = ("kind", "protocol_version", "magic_cookie")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAGIC_COOKIE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    protocol_version: int
    magic_cookie: str
    def __init__(self, kind: _Optional[str] = ..., protocol_version: _Optional[int] = ..., magic_cookie: _Optional[str] = ...) -> None: ...

class Object(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostService(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Method(_message.Message):
    __slots__ = ("timeout",)
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    timeout: _duration_pb2.Duration
    def __init__(self, timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Creates(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, services: _Optional[_Iterable[str]] = ...) -> None: ...

class Lends(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, services: _Optional[_Iterable[str]] = ...) -> None: ...

class Names(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Rules(_message.Message):
    __slots__ = ("required", "len", "max_len", "max", "min", "bits", "non_negative", "shortest", "needs")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    LEN_FIELD_NUMBER: _ClassVar[int]
    MAX_LEN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    NON_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    SHORTEST_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    required: bool
    len: int
    max_len: int
    max: int
    min: int
    bits: int
    non_negative: bool
    shortest: bool
    needs: str
    def __init__(self, required: _Optional[bool] = ..., len: _Optional[int] = ..., max_len: _Optional[int] = ..., max: _Optional[int] = ..., min: _Optional[int] = ..., bits: _Optional[int] = ..., non_negative: _Optional[bool] = ..., shortest: _Optional[bool] = ..., needs: _Optional[str] = ...) -> None: ...
