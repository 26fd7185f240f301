"""Certificates and keys are opened while the configuration is read, not first by a server."""

import datetime
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Lines = Callable[..., list[str]]

PASSWORD = "the-password-of-the-key"


@attrs.frozen
class Pair:
    certificate: Path
    key: Path
    encrypted_key: Path


def make_pair(folder: Path, name: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.locked.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    for path, encryption in (
        (pair.key, serialization.NoEncryption()),
        (pair.encrypted_key, serialization.BestAvailableEncryption(PASSWORD.encode())),
    ):
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
    return pair


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return make_pair(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Pair:
    return make_pair(tmp_path, "theirs")


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    path = tmp_path / "prose.txt"
    path.write_text("no certificate at all\n")
    return path


def server(certificate: Path, key: Path) -> dict[str, str]:
    return {"app.yaml": f"security:\n  tls_certificate: {certificate}\n  tls_private_key: {key}\n"}


def client(**files: Path | str) -> dict[str, str]:
    settings = {"bootstrap_servers": "b:1", "security_protocol": "SSL", **files}
    return {"app.yaml": "kafka:\n" + "".join(f"  {k}: '{v}'\n" for k, v in settings.items())}


def test_fitting_files_are_accepted(problems: Lines, ours: Pair) -> None:
    assert problems(server(ours.certificate, ours.key)) == []
    assert problems(client(ssl_ca_file=ours.certificate)) == []
    pair = {"ssl_certificate_file": ours.certificate, "ssl_key_file": ours.key}
    assert problems(client(**pair)) == []
    pair["ssl_key_file"] = ours.encrypted_key
    assert problems(client(**pair, ssl_key_password=PASSWORD)) == []


def test_a_servers_certificate_and_key_must_match(
    problems: Lines, ours: Pair, theirs: Pair
) -> None:
    assert problems(server(ours.certificate, theirs.key)) == [
        (
            f"app.yaml:3: security.tls_private_key: found '{theirs.key}', which is not the key of "
            f"'{ours.certificate}'; allowed: a PEM file with the unencrypted key of "
            "security.tls_certificate"
        )
    ]


def test_a_servers_files_must_be_pem(problems: Lines, ours: Pair, prose: Path) -> None:
    assert problems(server(prose, ours.key)) == [
        (
            f"app.yaml:2: security.tls_certificate: found '{prose}', which holds no certificate in "
            "PEM; allowed: a PEM file with certificates"
        )
    ]
    for key in (prose, ours.certificate, ours.encrypted_key):
        (problem,) = problems(server(ours.certificate, key))
        assert problem.startswith("app.yaml:3: security.tls_private_key: found ")
        assert "which holds no private key in PEM" in problem


def test_kafkas_authorities_must_be_pem(problems: Lines, prose: Path, ours: Pair) -> None:
    for path in (prose, ours.key):
        assert problems(client(ssl_ca_file=path)) == [
            (
                f"app.yaml:4: kafka.ssl_ca_file: found '{path}', which holds no certificate in "
                "PEM; allowed: a PEM file with certificates"
            )
        ]


def test_kafkas_client_certificate_must_fit_its_key_and_password(
    problems: Lines, ours: Pair, theirs: Pair
) -> None:
    pair = {"ssl_certificate_file": ours.certificate, "ssl_key_file": theirs.key}
    (problem,) = problems(client(**pair))
    assert "kafka.ssl_key_file: found" in problem
    assert "is not the key of" in problem
    pair["ssl_key_file"] = ours.encrypted_key
    assert len(problems(client(**pair))) == 1
    (problem,) = problems(client(**pair, ssl_key_password="another-password"))
    assert "no private key of this password" in problem
    assert "another-password" not in problem
