import contextlib
import socket
import subprocess
import threading

import pytest
import trio
from prometheus_client import REGISTRY

from engine.backends import open_kafka
from engine.backends.binaries import find_kafka_broker
from engine.config import KafkaConfig


@pytest.fixture
def start_broker(tmp_path):
    """Start a broker by hand; every one is killed at the end."""
    started = []

    def start(port):
        url = f"tcp://127.0.0.1:{port}"
        process = subprocess.Popen(
            [
                *(find_kafka_broker(), "broker", "--listener-url", url),
                *("--advertised-listener-url", url, "--storage-engine=memory://tansu/"),
            ],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def config_for(*ports, **settings):
    return KafkaConfig(
        bootstrap_servers=",".join(f"127.0.0.1:{port}" for port in ports), **settings
    )


async def test_outages_are_reported_and_recovered_from(
    data_dir, health, quick, free_port, start_broker, eventually
):
    async with open_kafka(config_for(free_port), data_dir, health, supervision=quick) as backend:
        assert not backend.embedded
        assert backend.incarnation is None
        down = f"kafka is unavailable: connection refused at 127.0.0.1:{free_port}"
        assert backend.state.detail == down
        for _ in range(2):
            broker = start_broker(free_port)
            await eventually(lambda: backend.state.up)
            assert health.snapshot()["kafka"].ok
            assert REGISTRY.get_sample_value("trellis_backend_up", {"backend": "kafka"}) == 1
            broker.kill()
            broker.wait()
            await eventually(lambda: not backend.state.up)
            assert health.snapshot()["kafka"].detail == down
    assert not (data_dir / "kafka").exists()


async def test_one_broker_of_several_is_enough(
    data_dir, health, quick, free_port, start_broker, eventually
):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = config_for(mute.getsockname()[1], free_port)
        start_broker(free_port)
        async with open_kafka(config, data_dir, health, supervision=quick) as backend:
            await eventually(lambda: backend.state.up)
            assert backend.state.detail == f"answers at 127.0.0.1:{free_port}"


async def test_every_broker_that_is_down_is_named_with_its_cause(
    data_dir, health, quick, free_port, monkeypatch
):
    monkeypatch.setattr("engine.backends.kafka_probe._PROBE_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute_port = mute.getsockname()[1]
        config = config_for(free_port, mute_port)
        async with open_kafka(config, data_dir, health, supervision=quick) as backend:
            assert backend.state.detail == (
                f"kafka is unavailable: connection refused at 127.0.0.1:{free_port}, "
                f"no answer within 0.3 s at 127.0.0.1:{mute_port}"
            )


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Kafka broker answers at"),
        (b"", "the connection was closed at"),
        (b"\0\0\0\x0a\0\0\0\x01\0\x23\0\0\0\0", "no Kafka broker answers at"),
    ],
)
async def test_what_is_no_kafka_broker_is_told_apart(reply, detail, data_dir, health, quick):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):  # the client may be gone
                connection.recv(100)
                connection.sendall(reply)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(100)

        server = threading.Thread(target=serve)
        server.start()
        config = config_for(listener.getsockname()[1])
        try:
            async with open_kafka(config, data_dir, health) as backend:
                assert detail in backend.state.detail
        finally:
            await trio.to_thread.run_sync(server.join)


async def test_certificate_of_an_unknown_authority_is_refused(data_dir, health, quick, tls_server):
    config = config_for(tls_server.port, security_protocol="SASL_SSL")
    async with open_kafka(config, data_dir, health, supervision=quick) as backend:
        assert "the TLS certificate at" in backend.state.detail


async def test_certificate_of_a_configured_authority_is_accepted(
    data_dir, health, quick, tls_server
):
    config = config_for(tls_server.port, security_protocol="SSL", ssl_ca_file=tls_server.ca_file)
    async with open_kafka(config, data_dir, health, supervision=quick) as backend:
        # Past the handshake; it is only that no broker is behind it.
        assert "the connection was closed at" in backend.state.detail
