"""One Apache Kafka node, broker and controller in one process (KRaft), from verified jars and a packaged Java."""

import base64
import secrets
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from deploy.embedded import aot
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import write_whole
from deploy.embedded.jars import fetch_jars, kafka_version
from deploy.embedded.managed import Server
from deploy.embedded.ports import HOST, kept_port, require_free
from deploy.embedded.process import Command
from deploy.embedded.programs import OURS, Programs

PROBE_S = 2.0
FORMAT_S = 180.0  # a second where nothing else runs
# ApiVersions, version 0, without a client id: every broker answers it, before any other request.
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_BOTH = (
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
FAST_JAVA = ("-Xms64m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *_BOTH)
FULL_JAVA = ("-Xms256m", "-Xmx1g", "-XX:+UseG1GC", *_BOTH)


def class_path(jars: Iterable[Path]) -> str:
    """Join jars to Java's class path."""
    return ":".join(map(str, jars))


class KafkaServer(Server):
    """The broker of a data directory. It keeps its port and data, and lives in `kafka/` there."""

    READY_S = 120.0
    ADOPT_S = 10.0
    STOP_S = 20.0

    def __init__(
        self, data_dir: Path, *, progress: Callable[[str], None], fast: bool = False, programs: Programs = OURS
    ) -> None:
        port, version = kept_port(data_dir, "kafka"), kafka_version(programs.jars)
        super().__init__("kafka", data_dir, port=port, title="Kafka", version=version, progress=progress)
        self._programs = programs
        self._controller_port = kept_port(data_dir, "kafka-controller")
        self._home = data_dir / "kafka"
        self._config = self._home / "server.properties"
        self._fast = fast
        self._options: tuple[str, ...] = FAST_JAVA if fast else FULL_JAVA
        self._java: list[str] = []

    def answers(self) -> bool:
        """Return whether the broker answers a Kafka client's first question within PROBE_S."""
        try:
            with socket.create_connection((HOST, self.port), PROBE_S) as connection:
                connection.settimeout(PROBE_S)
                connection.sendall(API_VERSIONS)
                head = connection.recv(10, socket.MSG_WAITALL)
        except OSError:
            return False
        return len(head) == 10 and struct.unpack(">iih", head)[1:] == (1, 0)

    def _command(self) -> Command:
        jars = fetch_jars(self._progress, jars=self._programs.jars)
        self._home.mkdir(parents=True, exist_ok=True)
        # Only a fast start of our own Java takes a cache. What runs for long is found again by its command line, which
        # must not change because somebody has made a cache meanwhile.
        quick = aot.using(aot.cache_of(self._options, jars)) if self._fast and self._programs == OURS else ()
        self._java = [str(self._programs.java), *quick, *self._options, "-cp", class_path(jars)]
        return Command(argv=(*self._java, "kafka.Kafka", str(self._config)), cwd=self._home)

    def _launch(self, command: Command) -> None:
        require_free(self._controller_port, "Kafka's controller", self._folder)
        write_whole(self._config, self._properties())
        self._format()
        self._process.spawn(command)
        self._process.wait_until(self._started, self.READY_S)

    def _started(self) -> bool:
        # The port is open long before the broker is unfenced. Before that, topics cannot be made.
        return b"Kafka Server started" in self._process.log.read_bytes() and self.answers()

    def _format(self) -> None:
        """Format the log directory once. If formatting was interrupted before, it holds no record and is deleted."""
        formatted = self._home / "formatted"
        if formatted.exists():
            return
        shutil.rmtree(self._home / "data", ignore_errors=True)
        cluster_id = self._cluster_id()
        argv = [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=FORMAT_S, check=False)
        except subprocess.TimeoutExpired:
            raise EmbeddedError(
                f"Kafka's storage in {self._home} was not formatted within {FORMAT_S:g} s: this machine is too busy, "
                "or Java does not run; start again"
            ) from None
        if done.returncode != 0:
            raise EmbeddedError(
                f"Kafka's storage in {self._home} cannot be formatted: {(done.stderr or done.stdout)[-2000:]}"
            )
        write_whole(formatted, cluster_id + "\n")

    def _cluster_id(self) -> str:
        """Draw the id of a new cluster."""
        # The tool would take a leading hyphen for an option.
        return "p" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22]

    def _properties(self) -> str:
        broker, controller = self.address, f"{HOST}:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._home / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A killed broker may come back when its session has timed out, by default after 9 s. A shorter time is
            # safe: broker and controller are one process, so no network delays their heartbeats.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            # Tests of killed consumers need not wait for the default of 6 s.
            "group.min.session.timeout.ms": "1000",
            "log.retention.ms": "-1",
            # The default of 128 MB would be a quarter of the small heap.
            "log.cleaner.dedupe.buffer.size": "16777216",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())
