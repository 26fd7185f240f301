"""Azurite, the Azure Blob server of the tests: it can be killed and started again on its data."""

import datetime
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import attrs
import pytest
from azure.storage.blob import generate_account_sas

from engine.config import BlobsConfig
from engine.config.secrets import Secret

START_S = 30.0
ACCOUNT = "devstoreaccount1"
# The well-known key of the emulator's well-known account.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_MAIN = Path(__file__).parents[1] / "azurite/node_modules/azurite/dist/src/blob/main.js"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@attrs.define
class Azurite:
    """A server with its folder."""

    folder: Path
    options: tuple[str, ...] = ()
    in_memory: bool = False
    scheme: str = "http"
    port: int = attrs.field(factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "Azurite":
        """Start it and wait until it accepts connections; skips the test if it is not installed."""
        node = shutil.which("node")
        if node is None or not _MAIN.exists():
            pytest.skip("Azurite is not installed: bash ops/test.sh does it, with npm")
        keep = ("--inMemoryPersistence",) if self.in_memory else ("--location", self.folder)
        self.process = subprocess.Popen(
            [
                node,
                _MAIN,
                *("--blobPort", str(self.port), *keep, "--silent"),
                *("--skipApiVersionCheck", "--disableTelemetry", *self.options),
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "HOME": str(self.folder)},
        )
        give_up_at_s = time.monotonic() + START_S
        while time.monotonic() < give_up_at_s and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return self
            except OSError:
                time.sleep(0.02)
        self.kill()
        raise TimeoutError(f"Azurite does not accept connections on port {self.port}")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def endpoint(self, port: int | None = None) -> str:
        return f"{self.scheme}://127.0.0.1:{port or self.port}/{ACCOUNT}"

    def connection_string(self, *, key: str = KEY, port: int | None = None) -> str:
        """Return the string with an account key.

        Args:
          port: of a proxy before the server.
        """
        return (
            f"DefaultEndpointsProtocol={self.scheme};AccountName={ACCOUNT};AccountKey={key};"
            f"BlobEndpoint={self.endpoint(port)};"
        )

    def sas_string(
        self, permission: str, *, valid_for_s: float = 600.0, port: int | None = None
    ) -> str:
        """Return the string with a SAS token for everything in the account.

        Args:
          permission: letters of what it allows: r w d l a c.
          valid_for_s: from now; negative if it has expired.
        """
        now = datetime.datetime.now(datetime.UTC)
        token = generate_account_sas(
            ACCOUNT,
            KEY,
            resource_types="sco",
            permission=permission,
            start=now - datetime.timedelta(hours=1),
            expiry=now + datetime.timedelta(seconds=valid_for_s),
        )
        return f"BlobEndpoint={self.endpoint(port)};SharedAccessSignature={token}"


def blobs_config(connection_string: str, **settings: object) -> BlobsConfig:
    return BlobsConfig(connection_string=Secret(connection_string), **settings)
