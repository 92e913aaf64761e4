"""A call that is being served, over whichever transport it came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from loop_plugin.error import Code

Metadata = tuple[tuple[str, str], ...]
"""Pairs of key and value; a key occurs once for each of its values."""


class Serving:
    """A call that is being served, as the calls that its handler makes see it."""

    __slots__ = ("deadline", "over")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        """When its caller stops waiting, by time.monotonic(); None: never."""
        self.over = False
        """It has been answered: its deadline no longer applies to tasks that it has started and that go on."""


class Call(Serving):
    """What a handler knows of its call, and what it sends beside its answer."""

    __slots__ = ("generation", "metadata", "object", "trailers")

    def __init__(self, deadline: float | None, object_name: str, metadata: Metadata) -> None:
        self.deadline, self.over = deadline, False
        self.object = object_name
        """The name of the object that the call is for; empty: it is for the plugin itself."""
        self.metadata = metadata
        """What else the caller sent along."""
        self.generation: int | None = None
        """The generation of the plugin that answers, 0 before it has one; None: no service of the contract saw the call."""
        self.trailers: Metadata = ()
        """What else goes with the answer."""


class Status(Exception):
    """Ends a call with another status than OK."""

    def __init__(self, code: Code, message: str, rich: bytes = b"", draining: bool = False) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message = code, message
        self.rich = rich
        """The status as a google.rpc.Status with details; empty: it has none."""
        self.draining = draining
        """The plugin is draining, and the call was not begun."""


Handler = Callable[[bytes, Call], Awaitable[bytes]]
"""Serves a call with one answer. Raises Status."""
Send = Callable[[bytes], Awaitable[None]]
StreamHandler = Callable[[bytes, Call, Send], Awaitable[None]]
"""Serves a call that is answered by a stream, which ends when the handler returns. Raises Status."""
