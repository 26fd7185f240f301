"""grpc-go against the real server, where a Go toolchain is at hand."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.echo_port import Port, in_thread, until

SOURCE = Path(__file__).with_name("grpc_go")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client; modules come through the Go module proxy."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain on PATH to compile a grpc-go client with")
    modules = subprocess.run(
        [go, "mod", "download"], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    if modules.returncode:
        pytest.skip(f"the Go module proxy cannot be reached: {modules.stderr[-500:]}")
    program = tmp_path_factory.mktemp("go") / "client"
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCE, check=True, timeout=600)
    return program


async def test_every_cardinality_size_status_and_encoding(port: Port, client: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(client), port.address], capture_output=True, text=True, timeout=60, check=False
        )

    finished = await in_thread(run)
    assert (finished.stdout, finished.stderr) == ("ok\n", "")
    await until(lambda: port.servicer.running == 0)
