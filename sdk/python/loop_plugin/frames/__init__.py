"""The transport loop/1: unary calls as length-prefixed frames, many at once on one connection. docs/wire.md specifies it.

It knows bytes, connections and metadata. It must not know objects, loans, generations, or protobuf beyond an error's status.
"""

from loop_plugin.frames.client import Caller, Unsent, dial
from loop_plugin.frames.frame import PROTOCOL
from loop_plugin.frames.server import Serving

__all__ = ["PROTOCOL", "Caller", "Serving", "Unsent", "dial"]
