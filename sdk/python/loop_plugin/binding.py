"""What the generated base classes and clients are made of. Authors of plugins meet it through them."""

from __future__ import annotations

from abc import ABC
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from loop_plugin.error import Code, RpcError

M = TypeVar("M", bound=Message)


class Caller(Protocol):
    """Makes calls to one object, or to the root of a plugin: the caller's end of the seam."""

    async def unary(self, method: str, request: Message, response: type[M], timeout: float | None) -> M:
        """Call a method by its path, such as /loop.hostservice.v1.KeystoreService/Sign.

        timeout is in seconds; None: what is left of the call that is being served, else the contract's own for the method.
        Raises RpcError.
        """
        ...

    def stream(self, method: str, request: Message, response: type[M]) -> AsyncIterator[M]:
        """Call a method that answers a stream. It lives until either side ends it. Raises RpcError."""
        ...


class Stub:
    """A client of one service, or of several that one object serves."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


class Servicer(ABC):
    """Base of whatever implements a service. One object may implement several."""

    DESCRIPTOR: ClassVar[ServiceDescriptor]
    # For each constructor that borrows: what makes the author's `loans` of its request.
    LOANS: ClassVar[Mapping[str, Callable[[Any, Callable[[str], Caller]], object]]] = {}


def unimplemented(method: str) -> RpcError:
    """What an object answers to a method of a service that it has no use for."""
    return RpcError(Code.UNIMPLEMENTED, f"this object does not serve {method}")


def services_of(kind: type) -> dict[str, type[Servicer]]:
    """The services that a class implements, by full name."""
    return {
        base.DESCRIPTOR.full_name: base for base in kind.__mro__ if issubclass(base, Servicer) and "DESCRIPTOR" in vars(base)
    }
