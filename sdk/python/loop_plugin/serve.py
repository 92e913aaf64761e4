"""The lifetime of a plugin's process."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from loop_plugin import wire
from loop_plugin.binding import Servicer, services_of
from loop_plugin.host import Host


def serve(root: Callable[[Host], Servicer], *, version: str = "(devel)") -> None:
    """Serve a plugin until the host ends it or is gone. It is the one line of a plugin's main.

    root is the author's class: a subclass of the base class of a kind's root service, made with the Host.
    version is the plugin's own; operators see it.
    """
    kind = _kind(root)
    name = _program()
    if sys.argv[1:] in (["--version"], ["version"]):
        print(f"{name} {version} (kind {kind.name}, protocol {kind.protocol_version})")
        return
    cookie = os.environ.get(wire.COOKIE_KEY, "")
    if cookie and cookie != kind.cookie:
        sys.exit(f'{name} is a LOOP plugin of kind {kind.name}, and the node started it for another ("{cookie}")')
    if not cookie:
        sys.exit(
            f"{name} is a LOOP plugin of kind {kind.name}: a node starts it. "
            "Name it to the node by its CL_<NAME>_CMD variable and start the node."
        )
    client = os.environ.get("PLUGIN_CLIENT_CERT", "")
    if not client:
        sys.exit(
            f"{name} talks over mutual TLS alone, and the host named no certificate in PLUGIN_CLIENT_CERT: update the node."
        )
    # The host's last question before it kills a plugin that is late: what do its threads wait for?
    faulthandler.register(signal.SIGQUIT, file=2)
    from loop_plugin.process import run  # takes a while to load

    run(root, kind, version, client.encode())


def _kind(root: object) -> wire.Kind:
    for service in services_of(root).values() if isinstance(root, type) else ():
        kind = wire.kind_of(service.DESCRIPTOR)
        if kind is not None and kind.cookie:
            return kind
    raise TypeError(f"{root!r} is no class of a plugin's root, such as a subclass of MedianService")


def _program() -> str:
    path = Path(sys.argv[0])
    return path.parent.name if path.name == "__main__.py" else path.name
