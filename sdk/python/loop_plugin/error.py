"""The errors of calls: what a handler raises to refuse one, and what a client raises for one that failed."""

from __future__ import annotations

from enum import IntEnum

from google.protobuf.message import Message


class Code(IntEnum):
    """gRPC's codes. Not grpc.StatusCode, so that a plugin which only prints its version need not import grpc."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that failed. The contract's comments say which codes a method may answer."""

    def __init__(self, code: Code, message: str, field: str = "", problem: str = "") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        # Set for a field that breaks a rule: they travel as a google.rpc.BadRequest.
        self.field = field
        self.problem = problem


def refuse(request: Message, field: str, problem: str) -> RpcError:
    """The INVALID_ARGUMENT for a field of a request, such as refuse(request, "config.contract_id", "is not an address")."""
    return RpcError(Code.INVALID_ARGUMENT, f"{request.DESCRIPTOR.full_name}.{field}: {problem}", field, problem)
