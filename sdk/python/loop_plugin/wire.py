"""What the contract says of calls: names that travel beside messages, limits, and each method's deadline and idempotency."""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from loop_plugin.call import Serving
from loop_plugin.error import Code, RpcError
from loop_plugin.option import creates_of, plugin_of, timeout_of

OBJECT_KEY = "loop-object"
"""The metadata key that carries the name of the object a call is for."""
GENERATION_KEY = "loop-generation"
"""The trailer by which a server says which generation of its plugin answered."""
DRAINING_KEY = "loop-draining"
"""The trailer of calls that a draining server refused: they were not begun, and may be made again in the next generation."""
COOKIE_KEY = "LOOP_PLUGIN"
"""The environment variable with the magic cookie of a plugin's kind."""
LOG_LEVEL_KEY = "LOOP_LOG_LEVEL"
"""The environment variable with the least level of log lines that the host wants."""
HEALTH_SERVICE = "plugin"
"""The name under which the process answers grpc.health.v1."""
MAX_MESSAGE_BYTES = 16 << 20
"""The contract's limit for a message in either direction."""


serving: ContextVar[Serving | None] = ContextVar("loop_serving", default=None)


def time_remaining() -> float | None:
    """Seconds until the deadline of the call that is being served; None: it has none."""
    call = serving.get()
    return None if call is None or call.over or call.deadline is None else max(0.0, call.deadline - time.monotonic())


@dataclass(frozen=True)
class Method:
    """What the contract says of a method."""

    path: str
    service: str
    name: str
    attribute: str
    """The method of a Servicer that implements it."""
    request: type[Message]
    response: type[Message]
    timeout: float | None
    """Seconds that a call may take if its caller set no deadline; None: any time."""
    idempotent: bool
    """Whether a call may be made again when its outcome is unknown."""
    streams: bool
    creates: str
    """The field of the request that names the object to create; empty: the method is not a constructor."""
    created: tuple[str, ...]
    """The services that the created object serves."""


@cache
def method_of(path: str) -> Method:
    """Look a method up among the loaded descriptors. Raises KeyError."""
    service, _, name = path.lstrip("/").partition("/")
    descriptor: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(service)
    return describe(descriptor.methods_by_name[name])


def describe(method: MethodDescriptor) -> Method:
    creates = ""
    created: tuple[str, ...] = ()
    for field in method.input_type.fields:
        option = creates_of(field)
        if option is not None:
            creates, created = field.name, tuple(option.services)
    service = method.containing_service
    return Method(
        path=f"/{service.full_name}/{method.name}",
        service=service.full_name,
        name=method.name,
        attribute=re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method.name).lower(),
        request=message_factory.GetMessageClass(method.input_type),
        response=message_factory.GetMessageClass(method.output_type),
        timeout=timeout_of(method),
        idempotent=method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
        streams=method.server_streaming,
        creates=creates,
        created=created,
    )


@dataclass(frozen=True)
class Kind:
    """A kind of plugin, such as median."""

    name: str
    protocol_version: int
    cookie: str


def kind_of(service: ServiceDescriptor) -> Kind | None:
    """The kind whose root service this is; None: it is no root."""
    plugin = plugin_of(service)
    return Kind(plugin.kind, plugin.protocol_version, plugin.magic_cookie) if plugin else None


def reachable(root: ServiceDescriptor) -> dict[str, Method]:
    """The methods, by path, of a root service and of all objects that it can make."""
    found: dict[str, Method] = {}
    services, seen = [root], set[str]()
    while services:
        service = services.pop()
        if service.full_name in seen:
            continue
        seen.add(service.full_name)
        for descriptor in service.methods:
            method = describe(descriptor)
            found[method.path] = method
            for name in method.created:
                services.append(descriptor_pool.Default().FindServiceByName(name))
    return found


def check_size(method: str, what: str, encoded: bytes) -> None:
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise RpcError(
            Code.RESOURCE_EXHAUSTED,
            f"the {what} of {method} has {len(encoded)} bytes; the limit of a message is {MAX_MESSAGE_BYTES} bytes (16 MiB)",
        )
