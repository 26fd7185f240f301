from pathlib import Path

import pytest

from engine.rpc.tls import open_pinned_tls, read_certificates
from tests.support.certificates import make_identity


def test_only_the_certificates_of_a_file_are_read_whatever_stands_beside_them(
    tmp_path: Path,
) -> None:
    first, second = (make_identity(tmp_path, name) for name in ("one", "two"))
    both = tmp_path / "both.pem"
    both.write_bytes(
        "# Zertifikate für uns\n".encode("latin-1")
        + first.certificate.read_bytes()
        + first.key.read_bytes()
        + second.certificate.read_bytes().replace(b"\n", b"\r\n")
    )

    pem = read_certificates(both)

    assert pem.isascii()
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE KEY" not in pem
    context = open_pinned_tls(pem, check_name=True)
    assert {
        dict(pair for [pair] in found["subject"])["commonName"] for found in context.get_ca_certs()
    } == {"one", "two"}


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "none.pem").write_bytes(content)
    with pytest.raises(ValueError, match="no certificate"):
        read_certificates(tmp_path / "none.pem")
