"""What the seam counts of calls that were cut off."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, NoReturn, cast

import grpc
import pytest
from fake_product import Product

from loop_contract.product.v1 import product_pb2
from loop_plugin import over_grpc
from loop_plugin.call import Call
from loop_plugin.client import Connection
from loop_plugin.dispatch import Dispatcher
from loop_plugin.host import Host

METHOD = "/loop.product.v1.ProductService/DescribeProduct"


class Waiting(Product):
    """Does not say what it is."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.begun = asyncio.Event()

    async def describe_product(self, request: product_pb2.DescribeProductRequest) -> product_pb2.DescribeProductResponse:
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


def serving() -> tuple[Waiting, Dispatcher]:
    host = Host(logging.getLogger())
    host.connect(cast(Connection, object()), "")
    root = Waiting(host)
    return root, Dispatcher(host, root)


def counted(dispatcher: Dispatcher) -> list[tuple[str, ...]]:
    return list(dispatcher.durations.values)


@pytest.mark.parametrize(("left", "code"), [(0.0, "DeadlineExceeded"), (60.0, "Canceled"), (None, "Canceled")])
async def test_a_cancelled_call_counts_by_its_deadline(left: float | None, code: str) -> None:
    root, dispatcher = serving()
    deadline = None if left is None else time.monotonic() + left
    call = asyncio.ensure_future(dispatcher.handlers[METHOD](b"", Call(deadline, "", ())))
    await root.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert counted(dispatcher) == [(METHOD, code)]


class Context:
    """A call over gRPC that has two seconds, 20 ms of which the answer's way takes."""

    def time_remaining(self) -> float:
        return 2.0

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def abort(self, code: grpc.StatusCode, *_: object) -> NoReturn:
        raise RuntimeError(code.name)


async def test_the_deadline_over_grpc_counts() -> None:
    _, dispatcher = serving()
    serve = over_grpc._unary(dispatcher.handlers[METHOD])
    with pytest.raises(RuntimeError, match="DEADLINE_EXCEEDED"):
        await serve(b"", cast(Any, Context()))
    assert counted(dispatcher) == [(METHOD, "DeadlineExceeded")]
