"""The contract's options, typed: the stubs that protoc writes for extensions do not say what they hold."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor

from loop_contract.plugin.v1 import options_pb2


def rules_of(field: FieldDescriptor) -> options_pb2.Rules | None:
    rules: options_pb2.Rules | None = _option(field, options_pb2.rules)
    return rules


def creates_of(field: FieldDescriptor) -> options_pb2.Creates | None:
    creates: options_pb2.Creates | None = _option(field, options_pb2.creates)
    return creates


def plugin_of(service: ServiceDescriptor) -> options_pb2.Plugin | None:
    plugin: options_pb2.Plugin | None = _option(service, options_pb2.plugin)
    return plugin


def timeout_of(method: MethodDescriptor) -> float | None:
    """Seconds; None: any time."""
    stated: options_pb2.Method | None = _option(method, options_pb2.method)
    return (stated.timeout.seconds + stated.timeout.nanos / 1e9 or None) if stated else None


def _option(of: FieldDescriptor | MethodDescriptor | ServiceDescriptor, extension: Any) -> Any:
    options: Any = of.GetOptions()
    return options.Extensions[extension] if options.HasExtension(extension) else None
