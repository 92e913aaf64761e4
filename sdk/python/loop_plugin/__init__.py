"""The plugin's side of LOOP in Python: see README.md.

The author subclasses the base classes of loop_contract.<package>.v1.<file>_loop and calls serve with the root's class.
"""

from loop_plugin.error import Code, RpcError, refuse
from loop_plugin.host import Host
from loop_plugin.number import big_int, int_of
from loop_plugin.order import sorted_as_go
from loop_plugin.serve import serve
from loop_plugin.task import end, start
from loop_plugin.wire import time_remaining

__version__ = "0.0.0"  # a release sets its own

__all__ = ["Code", "Host", "RpcError", "big_int", "end", "int_of", "refuse", "serve", "sorted_as_go", "start", "time_remaining"]
