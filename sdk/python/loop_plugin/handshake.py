"""The handshake of go-plugin's hosts: a certificate of the process's own, a socket, and one line on stdout."""

from __future__ import annotations

import base64
import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

# What sun_path holds on every system, less its terminating zero. Longer paths fail in bind with an error that names no path.
LONGEST_SOCKET_PATH = 103

# The dates of a certificate mean nothing here: each end was handed the other's own, and clocks step. But hosts may look
# at them, so they are Unix's first second and what RFC 5280, 4.1.2.5, writes for a certificate that does not expire.
VALID_FROM = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
VALID_UNTIL = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)


@dataclass(frozen=True)
class KeyPair:
    """A self-signed certificate and its key. It lives as long as the process."""

    certificate: bytes
    """PEM."""
    key: bytes
    """PKCS #8 in PEM."""
    der: bytes
    """The certificate once more, as the handshake line carries it."""

    def __repr__(self) -> str:
        return "[certificate and key]"


def new_key_pair() -> KeyPair:
    """Make a pair for the name localhost on P-256, the curve that every TLS library of a plugin reads."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate.public_bytes(serialization.Encoding.DER),
    )


def socket_path(folder: str) -> str:
    """A socket's path in the host's private folder, or in our own. Raises ValueError: one sentence for people."""
    path = str(Path(folder or tempfile.mkdtemp(prefix="loop-")) / f"p{os.getpid()}")
    size = len(os.fsencode(path))
    if size > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"the path of a socket in {folder} has {size} bytes and may have {LONGEST_SOCKET_PATH}; "
            "let the host name a shorter folder in PLUGIN_UNIX_SOCKET_DIR"
        )
    return path


def line(protocol_version: int, path: str, der: bytes) -> str:
    """The handshake: go-plugin's core protocol 1, ours, the network, the address, gRPC, and the certificate unpadded."""
    return f"1|{protocol_version}|unix|{path}|grpc|{base64.b64encode(der).decode().rstrip('=')}"
