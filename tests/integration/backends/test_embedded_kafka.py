import os
import signal
import socket

import pytest
import trio

from engine.backends import open_kafka
from engine.backends.kafka_probe import probe_embedded
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError
from engine.health import HealthBoard


def port_of(backend):
    return int(backend.bootstrap_servers.rpartition(":")[2])


async def test_broker_serves_on_loopback_under_its_incarnation(data_dir, health, quick):
    async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
        assert backend.embedded
        assert backend.state.up
        assert health.snapshot()["kafka"].ok
        assert backend.bootstrap_servers.startswith("127.0.0.1:")
        assert backend.incarnation is not None
        await probe_embedded(port_of(backend), backend.incarnation)
        with pytest.raises(BackendUnavailableError, match="another program answers"):
            await probe_embedded(port_of(backend), "another-incarnation")


async def test_stopping_leaves_no_process(data_dir, health, quick, processes):
    async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick):
        assert len(processes(data_dir)) == 1
    assert processes(data_dir) == []


async def test_killed_broker_is_back_on_its_port_as_another_incarnation(
    data_dir, health, quick, processes
):
    async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
        before = backend.endpoint
        os.kill(processes(data_dir)[0], signal.SIGKILL)
        with trio.fail_after(5):
            after = await backend.wait_endpoint_change(before)
        assert backend.state.up
        assert after.incarnation not in {None, before.incarnation}
        assert after.bootstrap_servers == before.bootstrap_servers


async def test_clients_keep_their_address_over_an_engines_restart(data_dir, health, quick):
    seen = set()
    for _ in range(2):
        async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
            seen.add(backend.bootstrap_servers)
    assert len(seen) == 1


async def test_port_taken_before_the_start_is_avoided(data_dir, health, quick):
    async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
        usual = backend.bootstrap_servers
        usual_port = port_of(backend)
    with socket.create_server(("127.0.0.1", usual_port)):
        async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
            assert backend.state.up
            assert backend.bootstrap_servers != usual


async def test_port_taken_while_the_broker_was_down_is_given_up(
    data_dir, health, quick, processes, eventually
):
    async with open_kafka(KafkaConfig(), data_dir, health, supervision=quick) as backend:
        before = backend.endpoint
        os.kill(processes(data_dir)[0], signal.SIGKILL)
        thief = socket.socket()
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with thief:
            await eventually(lambda: can_listen(thief, port_of_endpoint(before)))
            with trio.fail_after(10):
                after = await backend.wait_endpoint_change(before)
            assert after.bootstrap_servers != before.bootstrap_servers
            assert backend.state.up


def port_of_endpoint(endpoint):
    return int(endpoint.bootstrap_servers.rpartition(":")[2])


def can_listen(listener, port):
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        return False
    return True


async def test_engines_with_folders_of_their_own_have_brokers_of_their_own(tmp_path_factory, quick):
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    async with (
        open_kafka(KafkaConfig(), one, HealthBoard(), supervision=quick) as first,
        open_kafka(KafkaConfig(), two, HealthBoard(), supervision=quick) as second,
    ):
        assert first.bootstrap_servers != second.bootstrap_servers
        assert first.incarnation != second.incarnation
