"""Certificates of tests' own making, for this machine and an hour."""

import datetime
import ipaddress
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@attrs.frozen
class Identity:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path
    name: x509.Name
    private_key: PrivateKey


def make_identity(
    folder: Path,
    name: str,
    *,
    signer: Identity | None = None,
    private_key: PrivateKey | None = None,
) -> Identity:
    """Write a certificate and its key into a folder.

    Args:
      signer: None: it signs itself, and may sign others.
      private_key: None: a new one, of an elliptic curve.
    """
    key = private_key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .sign(key if signer is None else signer.private_key, hashes.SHA256())
    )
    identity = Identity(folder / f"{name}.pem", folder / f"{name}.key", subject, key)
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    identity.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return identity
