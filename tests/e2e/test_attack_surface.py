"""What an engine shows of itself to the rest of its machine: sockets, files, processes, calls."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from proto.trellis.v1 import backup_pb2, model_data_pb2, workers_pb2
from tests.support.engine_process import ROOT, EngineProcess
from tests.support.remote_world import eventually

TOKEN = "s3cr3t-Token-of-the-test-81c2"
PLANTED = {
    "TRELLIS_SECURITY__AUTH_TOKEN": TOKEN,
    "AZURE_CLIENT_SECRET": TOKEN,
    "AWS_SECRET_ACCESS_KEY": TOKEN,
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={TOKEN}",
    "PYTHONSTARTUP": f"/nonexistent/{TOKEN}",
    "PYTHONINSPECT": "",
}
WORKER_VARIABLES = {
    "HOME", "JE_ARROW_MALLOC_CONF", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH", "SPT_NOENV",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TRELLIS_WORKER_OF", "TZ",
}  # fmt: skip
SERVER_VARIABLES = {"HOME", "LC_ALL", "NO_COLOR", "PATH", "TZ"}
PORTS = ("service_a", "service_b", "service_d", "control", "metrics")
ON_CONTROL_PORT = [
    method
    for module in (workers_pb2, model_data_pb2, backup_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]

FOR_ALL = {"ListWorkers", "RestartWorkers", "DrainWorkers", "ResumeWorkers"}
ABOUT_JOBS = [
    method
    for method in ON_CONTROL_PORT
    if method.name not in FOR_ALL | {"HostWorkers"} and not method.name.endswith("Backup")
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    data = tmp_path_factory.mktemp("surface") / "data"
    with EngineProcess(data, environment=PLANTED, arguments=("run", "--demo")) as running:
        eventually(lambda: workers_of(running), 60.0)
        yield running


def children_of(engine: EngineProcess) -> list[psutil.Process]:
    return psutil.Process(engine.pid).children(recursive=True)


def workers_of(engine: EngineProcess) -> list[psutil.Process]:
    return [child for child in children_of(engine) if title_of(child).startswith("trellis worker")]


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def listening(engine: EngineProcess) -> dict[str, set[tuple[str, int]]]:
    """Return the addresses of all internet sockets that anybody may send to, by kind."""
    found: dict[str, set[tuple[str, int]]] = {"tcp": set(), "udp": set()}
    for process in (psutil.Process(engine.pid), *children_of(engine)):
        try:
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found["tcp"].add(tuple(connection.laddr))
                elif connection.status == psutil.CONN_NONE:
                    found["udp"].add(tuple(connection.laddr))
        except psutil.NoSuchProcess:
            continue
    return found


def test_nothing_listens_but_the_documented_ports_on_loopback(engine: EngineProcess) -> None:
    addresses = [engine.address(port) for port in PORTS] + [str(engine.ready["kafka"])]
    ours = {(host, int(port)) for host, _, port in (a.rpartition(":") for a in addresses)}
    assert len(ours) == len(addresses)
    assert {host for host, _ in ours} == {"127.0.0.1"}
    assert listening(engine) == {"tcp": ours, "udp": set()}


def test_the_one_unix_socket_is_in_a_folder_of_the_owners(engine: EngineProcess) -> None:
    names = set()
    for process in (psutil.Process(engine.pid), *children_of(engine)):
        names |= {str(one.laddr) for one in process.net_connections("unix") if one.laddr}
    # None is abstract, which has no modes.
    assert names == {str(engine.data_dir / "redis" / "redis.sock")}


def open_to_others(folder: Path) -> list[str]:
    paths = (folder, *folder.rglob("*"))
    return [f"{path} {path.stat().st_mode:o}" for path in paths if path.stat().st_mode & 0o077]


def test_no_file_or_folder_is_open_to_others(engine: EngineProcess, tmp_path: Path) -> None:
    for arguments in (
        ("--data", str(engine.data_dir), "backup", str(tmp_path / "backup")),
        ("restore", str(tmp_path / "backup"), str(tmp_path / "restored")),
    ):
        command = [sys.executable, "main.py", *arguments]
        environment = {**os.environ, "TRELLIS_SECURITY__AUTH_TOKEN": TOKEN}
        subprocess.run(command, cwd=ROOT, env=environment, umask=0o022, check=True)
    folders = (engine.data_dir, tmp_path / "backup", tmp_path / "restored")
    assert [found for folder in folders for found in open_to_others(folder)] == []
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()


def test_children_get_no_variables_but_those_that_they_need(engine: EngineProcess) -> None:
    kinds = set()
    for child in children_of(engine):
        trellis = title_of(child).startswith("trellis ")
        kinds.add(trellis)
        allowed = WORKER_VARIABLES if trellis else SERVER_VARIABLES
        assert child.environ().keys() <= allowed, title_of(child)
        assert TOKEN not in title_of(child)
        assert TOKEN not in "".join(child.environ().values())
    assert kinds == {True, False}


def test_workers_hold_nothing_of_the_engines(engine: EngineProcess) -> None:
    for worker in workers_of(engine):
        held = [os.readlink(link) for link in Path(f"/proc/{worker.pid}/fd").iterdir()]  # noqa: PTH115
        assert not [name for name in held if name.startswith(str(engine.data_dir))]
        control = engine.address("control")
        for connection in worker.net_connections("inet"):
            host, port = connection.raddr
            assert f"{host}:{port}" == control


def test_no_process_of_it_leaves_a_core_file(engine: EngineProcess) -> None:
    for pid in (engine.pid, *(child.pid for child in children_of(engine))):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), pid


@pytest.mark.parametrize("method", ON_CONTROL_PORT, ids=lambda method: method.full_name)
@pytest.mark.parametrize("token", [None, "wrong", TOKEN], ids=["none", "wrong", "the callers'"])
def test_the_control_port_answers_workers_alone(
    engine: EngineProcess, method: Any, token: str | None
) -> None:
    """Also not those who may call everything else."""
    assert call(engine.address("control"), method, token) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", ON_CONTROL_PORT, ids=lambda method: method.full_name)
def test_what_is_for_workers_is_on_no_public_port(engine: EngineProcess, method: Any) -> None:
    for port in ("service_a", "service_b", "service_d"):
        code = call(engine.address(port), method, TOKEN)
        if method.name in FOR_ALL and port == "service_d":
            assert code is not grpc.StatusCode.FAILED_PRECONDITION
        else:
            assert code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.FAILED_PRECONDITION)


@pytest.mark.parametrize("method", ABOUT_JOBS, ids=lambda method: method.full_name)
def test_a_worker_without_the_jobs_lease_gets_and_changes_nothing(
    engine: EngineProcess, method: Any
) -> None:
    """The right token and made-up names of a worker, a job and its lease."""
    token = (engine.data_dir / "control-token").read_text().strip()
    request = method.input_type._concrete_class()
    if "lease" in request.DESCRIPTOR.fields_by_name:
        request.lease.worker_id, request.lease.job_id = "any-0-00000000", "0" * 26
        request.lease.token = "made-up"
    code = call(engine.address("control"), method, token, request)
    if code is grpc.StatusCode.OK:
        # They say in their reply that the worker is given up.
        assert method.name in ("Check", "TakeJobs", "CompleteJobs", "GiveBackJobs", "FailJob")
    else:
        assert code in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.NOT_FOUND,
        )


def call(address: str, method: Any, token: str | None, request: object = None) -> grpc.StatusCode:
    """Call with one message, whatever the method's kind; return how it ended."""
    service = method.containing_service.full_name
    kind = method.input_type._concrete_class
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(address) as channel:
        replies = channel.stream_stream(
            f"/{service}/{method.name}",
            request_serializer=kind.SerializeToString,
            response_deserializer=lambda data: data,
        )(iter([request or kind()]), metadata=metadata, timeout=10)
        try:
            for _ in replies:
                pass
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK
