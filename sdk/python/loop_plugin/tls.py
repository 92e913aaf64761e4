"""Mutual TLS between two processes that know one another's certificates."""

from __future__ import annotations

import encodings.idna  # noqa: F401 # ssl wants it for the name of its first server: 2 ms that are not the first call's
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the module ssl does not name. Each end was handed the other's own certificate: its
# dates say nothing, and clocks step.
NO_CHECK_TIME = 0x200000


def server_context(certificate: bytes, key: bytes, client: bytes, protocols: Sequence[str]) -> ssl.SSLContext:
    """TLS with this certificate and key for a client that shows the certificate `client`; all are PEM."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.verify_mode = ssl.CERT_REQUIRED
    # Frames need TLS 1.3. A caller with 1.2 uses gRPC, and must get far enough to say so.
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # No session is ever resumed.
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    made.num_tickets = 0
    return _between(made, certificate, key, client, protocols)


def client_context(certificate: bytes, key: bytes, server: bytes, protocols: Sequence[str]) -> ssl.SSLContext:
    """TLS with this certificate and key to a server that shows the certificate `server`; all are PEM."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return _between(made, certificate, key, server, protocols)


def _between(made: ssl.SSLContext, certificate: bytes, key: bytes, peer: bytes, protocols: Sequence[str]) -> ssl.SSLContext:
    made.load_verify_locations(cadata=peer.decode("ascii"))
    made.verify_flags |= NO_CHECK_TIME
    made.set_alpn_protocols(protocols)
    with readable(certificate) as certificate_path, readable(key) as key_path:
        made.load_cert_chain(certificate_path, key_path)
    return made


@contextmanager
def readable(content: bytes) -> Iterator[str]:
    """A path under which some KiB can be read once: ssl reads keys only from files, and no key may be in a folder."""
    reading, writing = os.pipe()
    try:
        with open(writing, "wb") as pipe:  # noqa: PTH123  # it is no path
            pipe.write(content)
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
