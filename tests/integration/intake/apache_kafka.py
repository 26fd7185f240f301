"""A real Apache Kafka in KRaft mode, one node, its jars fetched by Maven."""

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from tests.integration.intake.brokers import free_port, wait_for_port

VERSION = "4.1.0"
JVM_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""One small broker next to the tests: start quickly, take little."""

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>trellis</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
<packaging>pom</packaging>
<dependencies>
<dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency>
</dependencies>
</project>
"""

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={log_dir}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
log.cleaner.enable=false
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
"""


def find_jvm() -> tuple[Path, Path]:
    """Return java and mvn.

    Raises:
      FileNotFoundError: says which is missing.
    """
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        missing = " and ".join(n for n, p in (("java", java), ("mvn", maven)) if p is None)
        raise FileNotFoundError(f"no {missing} on PATH to run Apache Kafka with")
    return Path(java), Path(maven)


def fetch_jars(maven: Path, cache: Path) -> Path:
    """Return the folder with Kafka's jars, fetched on the first use.

    Raises:
      RuntimeError: Maven could not fetch them; holds the end of its output.
    """
    folder = cache / f"kafka-{VERSION}"
    if folder.exists():
        return folder
    # Fetched beside its place and then moved there, so that a broken fetch is never used.
    fetched = cache / f"kafka-{VERSION}.{uuid.uuid4().hex}"
    fetched.mkdir(parents=True)
    pom = fetched / "pom.xml"
    pom.write_text(_POM, encoding="utf-8")
    command = [maven, "-B", "-q", "-f", pom, "dependency:copy-dependencies"]
    done = subprocess.run(
        [*command, f"-DoutputDirectory={fetched}"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(fetched)
        raise RuntimeError(f"Maven could not fetch Apache Kafka: {done.stdout[-2000:]}")
    fetched.rename(folder)
    return folder


class ApacheBroker:
    """One Kafka node that is broker and controller. Its log survives a kill."""

    keeps_log = True
    embedded = False
    incarnation = None

    def __init__(self, java: Path, jars: Path, folder: Path) -> None:
        self._java = java
        self._jars = jars
        self._folder = folder
        self._port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = folder / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(
                port=self._port, controller_port=free_port(), log_dir=folder / "log"
            ),
            encoding="utf-8",
        )
        self._run("kafka.tools.StorageTool", "format", "-t", uuid.uuid4().hex[:22], "-c")

    def _command(self, main: str, *arguments: str) -> list[str | Path]:
        class_path = f"{self._jars}{os.sep}*"
        return [self._java, *JVM_OPTIONS, "-cp", class_path, main, *arguments, self._properties]

    def _run(self, main: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(main, *arguments), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it unless it runs."""
        if self._process is not None:
            return
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for_port(self._port, self._process, 60)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
