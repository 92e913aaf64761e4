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

class OcrVersion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OCR_VERSION_UNSPECIFIED: _ClassVar[OcrVersion]
    OCR_VERSION_2: _ClassVar[OcrVersion]
    OCR_VERSION_3: _ClassVar[OcrVersion]
OCR_VERSION_UNSPECIFIED: OcrVersion
OCR_VERSION_2: OcrVersion
OCR_VERSION_3: OcrVersion

class DescribeProductRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeProductResponse(_message.Message):
    __slots__ = ("product", "ocr_versions", "provider_types", "reference_toml", "ocr2_bounds")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    OCR_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TOML_FIELD_NUMBER: _ClassVar[int]
    OCR2_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    product: str
    ocr_versions: _containers.RepeatedScalarFieldContainer[OcrVersion]
    provider_types: _containers.RepeatedScalarFieldContainer[str]
    reference_toml: str
    ocr2_bounds: Ocr2Bounds
    def __init__(self, product: _Optional[str] = ..., ocr_versions: _Optional[_Iterable[_Union[OcrVersion, str]]] = ..., provider_types: _Optional[_Iterable[str]] = ..., reference_toml: _Optional[str] = ..., ocr2_bounds: _Optional[_Union[Ocr2Bounds, _Mapping]] = ...) -> None: ...

class Ocr2Bounds(_message.Message):
    __slots__ = ("limits", "unique_reports")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    limits: _reporting_pb2.ReportingPluginLimits
    unique_reports: bool
    def __init__(self, limits: _Optional[_Union[_reporting_pb2.ReportingPluginLimits, _Mapping]] = ..., unique_reports: _Optional[bool] = ...) -> None: ...

class ValidateProductJobRequest(_message.Message):
    __slots__ = ("ocr_version", "provider_type", "plugin_config_json", "pipelines")
    OCR_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    ocr_version: OcrVersion
    provider_type: str
    plugin_config_json: bytes
    pipelines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ocr_version: _Optional[_Union[OcrVersion, str]] = ..., provider_type: _Optional[str] = ..., plugin_config_json: _Optional[bytes] = ..., pipelines: _Optional[_Iterable[str]] = ...) -> None: ...

class ValidateProductJobResponse(_message.Message):
    __slots__ = ("problems", "warnings")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[_problem_pb2.Problem]
    warnings: _containers.RepeatedCompositeFieldContainer[_problem_pb2.Problem]
    def __init__(self, problems: _Optional[_Iterable[_Union[_problem_pb2.Problem, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_problem_pb2.Problem, _Mapping]]] = ...) -> None: ...

class CreateProductFactoryRequest(_message.Message):
    __slots__ = ("name", "provider", "pipelines", "error_log", "ocr_version", "provider_type", "plugin_config_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    ERROR_LOG_FIELD_NUMBER: _ClassVar[int]
    OCR_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: str
    pipelines: str
    error_log: str
    ocr_version: OcrVersion
    provider_type: str
    plugin_config_json: bytes
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[str] = ..., pipelines: _Optional[str] = ..., error_log: _Optional[str] = ..., ocr_version: _Optional[_Union[OcrVersion, str]] = ..., provider_type: _Optional[str] = ..., plugin_config_json: _Optional[bytes] = ...) -> None: ...

class CreateProductFactoryResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
