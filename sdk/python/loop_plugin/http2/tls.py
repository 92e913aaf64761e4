"""Mutual TLS of a server with one client."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the module ssl does not name. The client is known by its certificate: its dates say
# nothing, and clocks step.
NO_CHECK_TIME = 0x200000


def context(certificate: bytes, key: bytes, client: bytes) -> ssl.SSLContext:
    """TLS with this certificate and key for a client that shows a certificate of `client`; all are PEM."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=client.decode("ascii"))
    made.verify_flags |= NO_CHECK_TIME
    made.set_alpn_protocols(["h2"])
    # HTTP/2 forbids renegotiation. A host connects once: no session is ever resumed.
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    made.num_tickets = 0
    with readable(certificate) as certificate_path, readable(key) as key_path:
        made.load_cert_chain(certificate_path, key_path)
    return made


@contextmanager
def readable(content: bytes) -> Iterator[str]:
    """A path under which some KiB can be read once: ssl reads keys from files alone, and a key shall never be in a folder."""
    reading, writing = os.pipe()
    try:
        with open(writing, "wb") as pipe:  # noqa: PTH123  # it is no path
            pipe.write(content)
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
