import ssl

import pytest

from engine.backends.kafka_probe import load_tls_context, parse_addresses
from engine.config import KafkaConfig
from engine.errors import FailedPreconditionError


def test_several_brokers_are_read_in_order():
    found = parse_addresses("a.example:9092, 10.0.0.1:9093,[::1]:9094")
    assert [(address.host, address.port) for address in found] == [
        ("a.example", 9092),
        ("10.0.0.1", 9093),
        ("::1", 9094),
    ]
    assert [str(address) for address in found] == ["a.example:9092", "10.0.0.1:9093", "[::1]:9094"]


@pytest.mark.parametrize(
    "text", ["a.example", "a.example:", ":9092", "a:0", "a:65536", "a:b", "a:1,"]
)
def test_what_is_no_host_and_port_is_named(text):
    with pytest.raises(FailedPreconditionError, match="is not host:port"):
        parse_addresses(text)


@pytest.mark.parametrize(("protocol", "tls"), [("PLAINTEXT", False), ("SASL_SSL", True)])
def test_tls_is_spoken_where_the_protocol_says_so(protocol, tls):
    context = load_tls_context(KafkaConfig(security_protocol=protocol))
    assert (context is not None) == tls
    if context is not None:
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_an_unusable_authority_file_is_a_clear_error(tmp_path):
    config = KafkaConfig(security_protocol="SSL", ssl_ca_file=tmp_path / "missing.pem")
    with pytest.raises(FailedPreconditionError, match="No such file"):
        load_tls_context(config)
