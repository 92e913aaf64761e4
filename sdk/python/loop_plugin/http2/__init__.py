"""A gRPC server for one host: HTTP/2 over mutual TLS on a unix socket, on asyncio's loop.

It is what grpc's own server for Python would be for, at a fraction of its time: that one passes each call through threads and
C, which costs more than all that a plugin does with it. Calls with one request, answered by one message or by a stream, are
all that the contract has, and all that is served here. Nothing here knows the contract, plugins or protobuf.
"""

from loop_plugin.http2.call import Call, Handler, Status
from loop_plugin.http2.header import Metadata
from loop_plugin.http2.server import Server
from loop_plugin.http2.tls import context

__all__ = ["Call", "Handler", "Metadata", "Server", "Status", "context"]
