"""What is wrong with a certificate or key file, told before a server or client needs it."""

import ssl
from pathlib import Path


def explain_certificates(path: Path) -> str | None:
    """Return what is wrong with a file of PEM certificates, or None."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return f"{str(path)!r}, which holds no certificate in PEM"
    return None


def explain_private_key(certificate: Path, private_key: Path, password: str | None) -> str | None:
    """Return what is wrong with a PEM key for a sound certificate, or None.

    Args:
      password: opens an encrypted key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password is always given: without one OpenSSL would ask at the terminal.
        context.load_cert_chain(certificate, private_key, lambda: password or "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{str(private_key)!r}, which is not the key of {str(certificate)!r}"
        # One that is encrypted and one that is no key look the same to OpenSSL.
        secured = "no private key" if password is None else "no private key of this password"
        return f"{str(private_key)!r}, which holds {secured} in PEM"
    except (OSError, ValueError):
        return f"{str(private_key)!r}, which cannot be used"
    return None
