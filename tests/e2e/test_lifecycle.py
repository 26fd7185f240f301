"""Starting and stopping the real program: exit codes, order, and what is left behind."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2

from tests.faults.feature_answers import wait_until_consuming
from tests.support.engine_process import ANY_FREE_PORTS, ROOT, EngineProcess
from tests.support.event_source import EventSource

GRPC_PORTS = ("service_a", "service_b", "service_d", "control")


def run_main(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "main.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_gone(pids: list[int], timeout_s: float) -> list[int]:
    """Return which of the processes still run after at most `timeout_s`."""
    give_up_at_s = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if psutil.pid_exists(pid)]) and (
        time.monotonic() < give_up_at_s
    ):
        time.sleep(0.02)
    return left


def health_of(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return int(check(health_pb2.HealthCheckRequest(), timeout=5).status)


def test_every_port_of_the_ready_line_answers(tmp_path: Path) -> None:
    with EngineProcess(tmp_path / "data") as engine:
        assert engine.ready["pid"] == engine.pid
        for port in GRPC_PORTS:
            assert engine.address(port).startswith("127.0.0.1:")
            assert health_of(engine.address(port)) == health_pb2.HealthCheckResponse.SERVING
        for page in ("metrics", "healthz", "readyz"):
            url = f"http://{engine.address('metrics')}/{page}"
            with urllib.request.urlopen(url, timeout=5) as reply:
                assert reply.status == 200
        assert engine.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_loaded_engine_in_order_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    # To be looked into from outside.
    with EngineProcess(tmp_path / "data", environment={"TRELLIS_DEBUG": "memory"}) as engine:
        children = [child.pid for child in psutil.Process(engine.pid).children(recursive=True)]
        assert len(children) >= 2
        with EventSource(engine.ready["kafka"], engine.ready["topic"], seed=1) as source:
            wait_until_consuming(engine)
            # The engine has made Arrow tables by now, which is what would have brought pandas in.
            assert "pandas" not in Path(f"/proc/{engine.pid}/maps").read_text()
            assert source.sent()
            engine.signal(number)
            assert engine.wait(20) == 0
        assert wait_gone(children, 5) == []
        assert "Traceback" not in engine.log_path.read_text()
        assert not (tmp_path / "data" / "engine.json").exists()
        assert not (tmp_path / "data" / "trellis.duckdb.wal").exists()


def test_a_second_signal_makes_it_immediate(tmp_path: Path) -> None:
    """A call that never ends would use up the whole grace; the second signal cuts it off."""
    with (
        EngineProcess(tmp_path / "data", settings=["shutdown.grace_s=600"]) as engine,
        grpc.insecure_channel(engine.address("service_b")) as channel,
    ):
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        stream = watch(health_pb2.HealthCheckRequest())
        next(stream)
        engine.signal(signal.SIGTERM)
        engine.signal(signal.SIGTERM)
        assert engine.wait(20) == 0


def test_killing_the_engine_leaves_no_child(tmp_path: Path) -> None:
    with EngineProcess(tmp_path / "data") as engine:
        children = [child.pid for child in psutil.Process(engine.pid).children(recursive=True)]
        engine.kill()
        assert wait_gone(children, 5) == []


def test_a_second_engine_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with EngineProcess(tmp_path / "data") as engine:
        sets = [word for setting in ANY_FREE_PORTS for word in ("--set", setting)]
        second = run_main("--data", str(engine.data_dir), *sets)
        assert second.returncode == 1
        assert f"another engine (pid {engine.pid})" in second.stderr
        assert "Traceback" not in second.stderr


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with EngineProcess(tmp_path / "one") as engine:
        port = engine.address("service_b").rsplit(":", 1)[1]
        sets = [word for setting in ANY_FREE_PORTS for word in ("--set", setting)]
        taken = ("--set", f"server_ports.service_b={port}")
        second = run_main("--data", str(tmp_path / "two"), *sets, *taken)
        assert second.returncode == 1
        assert f"another program listens on 127.0.0.1:{port}" in second.stderr
        assert "Traceback" not in second.stderr


def test_a_bad_configuration_exits_with_2_and_every_problem(tmp_path: Path) -> None:
    config = tmp_path / "configs"
    config.mkdir()
    (config / "app.yaml").write_text("server_prots: {service_a: 1}\nkafka: {partitions: none}\n")
    (config / "features.yaml").write_text(
        "entities: {user: {key: user_id, type: int64}}\n"
        "features:\n"
        "  clicks: {from: events, aggregate: cuont, window: 5m}\n"
        "  rate: {expression: 'clicks_5 / 2'}\n"
    )
    (config / "models.yaml").write_text("models: {}\n")
    done = run_main("--config", str(config), "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    for fact in ("server_ports", "kafka.partitions", "count", "clicks_5"):
        assert fact in done.stderr
    assert "Traceback" not in done.stderr


def test_the_engine_starts_while_its_kafka_is_away_and_says_so(tmp_path: Path) -> None:
    settings = ("kafka.bootstrap_servers=127.0.0.1:9",)
    with EngineProcess(tmp_path / "data", settings=settings) as engine:
        with urllib.request.urlopen(
            f"http://{engine.address('metrics')}/readyz", timeout=5
        ) as reply:
            parts = json.load(reply)["parts"]
        assert parts["kafka"]["ok"] is False
        assert "127.0.0.1:9" in parts["kafka"]["detail"]
        assert engine.stop() == 0
