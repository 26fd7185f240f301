"""TLS for gRPC: version 1.2 or newer, HTTP/2 agreed on by ALPN, optionally both sides proven."""

import re
import ssl
from pathlib import Path
from typing import Final

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[\x20-\x7e\r\n]*?-----END \1-----"
)


def open_server_tls(
    certificate: Path, private_key: Path, client_authority: Path | None = None
) -> ssl.SSLContext:
    """Return a server's context.

    Args:
      certificate: PEM chain; private_key: its PEM key.
      client_authority: PEM; if given, clients must have a certificate that it signed.
    Raises:
      OSError, ssl.SSLError: a file cannot be read or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return _for_http2(context)


def open_client_tls(
    authority: Path | None = None,
    certificate: Path | None = None,
    private_key: Path | None = None,
) -> ssl.SSLContext:
    """Return a client's context.

    Args:
      authority: PEM of who signed the server's certificate; None: whom the system trusts.
      certificate, private_key: PEM, for servers that want to know their clients.
    Raises:
      OSError, ssl.SSLError: a file cannot be read or does not fit.
    """
    context = ssl.create_default_context(cafile=authority)
    if certificate is not None:
        context.load_cert_chain(certificate, private_key)
    return _for_http2(context)


def read_certificates(file: Path) -> str:
    """Return the certificates of a PEM file, for `open_pinned_tls`, and nothing else of it.

    What stands beside them may be a private key, or remarks in any encoding.

    Raises:
      OSError: the file cannot be read.
      ValueError: it holds none.
    """
    found = [match[0].decode("ascii") for match in _CERTIFICATE.finditer(file.read_bytes())]
    if not found:
        raise ValueError("it holds no certificate in PEM")
    return "\n".join(found)


def open_pinned_tls(authority_pem: str | None, *, check_name: bool) -> ssl.SSLContext:
    """Return a client's context for a server whose certificate, or whose authority's, is at hand.

    Args:
      authority_pem: the certificates to believe, the server's own if need be; None: the system's.
      check_name: whether the certificate must be for the name that is connected to. Needless when
        the only one to believe is the server's own.
    Raises:
      ssl.SSLError: they are no certificates.
    """
    context = ssl.create_default_context(cadata=authority_pem)
    context.check_hostname = check_name
    # Believe what is at hand even if it is not its own authority.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return _for_http2(context)


def _for_http2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2"])
    return context
