"""PostgreSQL and Kafka of a run, durable by their defaults and warm; and what they have used."""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from sqlalchemy import URL, make_url

from deploy.embedded import EmbeddedServers, Managed, temporary_servers
from deploy.embedded.kafka import KafkaServer
from deploy.embedded.postgres import PostgresServer
from tests.bench.environment import Progress
from tests.servers.databases import fresh_database

WARM_MESSAGES = 150_000
WARM_S = 60.0
TOPIC_S = 30.0


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Sum the CPU seconds, user and system, of these processes and of all their children, reaped or living."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = one.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one measurement."""

    url: URL

    @property
    def sqlalchemy(self) -> str:
        """Its SQLAlchemy URL, with the password."""
        return self.url.render_as_string(hide_password=False)

    @property
    def conninfo(self) -> str:
        """Its libpq parameters, with the password."""
        u = self.url
        return f"host={u.host} port={u.port} user={u.username} password={u.password} dbname={u.database}"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Connect, committing by itself."""
        return psycopg.connect(self.conninfo, autocommit=True)


@dataclass(frozen=True, slots=True)
class Started:
    """Servers that run, each with its data directory. postgres: the first is the primary.

    folder: for logs. bootstrap, database_url: how everybody comes to them. clients: librdkafka's options besides.
    replicas: of each topic.
    """

    folder: Path
    kafka: Mapping[Path, KafkaServer]
    postgres: Mapping[Path, PostgresServer]
    bootstrap: str
    database_url: str
    clients: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1


def started_of(embedded: EmbeddedServers) -> Started:
    """Describe one Kafka and one PostgreSQL."""
    folder = embedded.data_dir
    servers = ({folder: embedded.kafka}, {folder: embedded.postgres})
    return Started(folder, *servers, embedded.kafka_bootstrap, embedded.database_url)


class Servers:
    """The servers of a run. clients: librdkafka's options to connect."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self.folder = started.folder
        self.bootstrap = started.bootstrap
        self.clients: dict[str, str | int | float | bool] = {
            "bootstrap.servers": started.bootstrap,
            "log_level": 0,
            **started.clients,
        }
        self._kafka = _processes(started.kafka.values())
        self._postgres = _processes(started.postgres.values())
        self.admin = AdminClient(self.clients)
        self.kafka_version = next(iter(started.kafka.values())).version
        self._primary, primary = next(iter(started.postgres.items()))
        self.postgres_version = primary.version

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """Make a fresh database; dropped afterwards, with the one that DBOS makes beside it."""
        with fresh_database(self._started.database_url, None) as url:
            database = Database(make_url(url))
            try:
                yield database
            finally:
                with psycopg.connect(self._main().conninfo, autocommit=True) as admin:
                    beside = sql.Identifier(f"{database.url.database}_sys")
                    admin.execute(sql.SQL("drop database if exists {} with (force)").format(beside))

    @contextlib.contextmanager
    def topics(self, names: list[str], partitions: int) -> Iterator[None]:
        """Make topics, unless they are there; deleted afterwards."""
        existing = self.admin.list_topics(timeout=TOPIC_S).topics
        new = [NewTopic(name, partitions, self._started.replicas) for name in names if name not in existing]
        for made in self.admin.create_topics(new).values() if new else ():
            made.result(TOPIC_S)
        try:
            yield
        finally:
            for deleted in self.admin.delete_topics(names).values():
                deleted.result(TOPIC_S)

    def postgres_cpu_s(self) -> float:
        """CPU seconds of the postmaster and its backends, and of a standby's."""
        return cpu_s(self._postgres)

    def kafka_cpu_s(self) -> float:
        """CPU seconds of the brokers."""
        return cpu_s(self._kafka)

    def wal_bytes(self) -> int:
        """Bytes of write-ahead log ever written."""
        with psycopg.connect(self._main().conninfo) as connection:
            found = connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
            return int(found[0]) if found else 0

    def kafka_bytes(self, prefix: str) -> int:
        """Bytes in the log segments of the topics with this prefix: data only, not the preallocated indexes."""
        folders = [one for data in self._started.kafka for one in (data / "kafka" / "data").glob(prefix + "*")]
        return sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))

    def checkpoint(self) -> None:
        """Begin a measurement with clean pages, so that none pays for the one before."""
        with self.superuser().connect() as connection:
            connection.execute("CHECKPOINT")

    def superuser(self) -> Database:
        """Return the database `postgres`, as its superuser."""
        return superuser_of(self._primary, self._started.database_url, "postgres")

    def superuser_in(self, database: Database) -> Database:
        """Return this database, as the superuser."""
        return superuser_of(self._primary, database.sqlalchemy, None)

    def _main(self) -> Database:
        return Database(make_url(self._started.database_url))


def superuser_of(folder: Path, url: str, name: str | None) -> Database:
    """Return the database of this name, or of the URL, as the superuser of the server of this data directory."""
    passwords = json.loads((folder / "postgres.passwords.json").read_text(encoding="utf-8"))
    whole = make_url(url)
    return Database(whole.set(username="postgres", password=passwords["postgres"], database=name or whole.database))


def _processes(servers: Iterable[Managed]) -> Sequence[psutil.Process]:
    pids = [server.pid for server in servers]
    return [psutil.Process(pid) for pid in pids if pid is not None]


@contextlib.contextmanager
def running(progress: Progress, *, warm: bool = True) -> Iterator[Servers]:
    """Start both with the JVM's optimizing compiler, as in production, and warm the broker up."""
    with temporary_servers(progress=progress, fast=False, prefix="payments-bench-") as embedded:
        progress("starting PostgreSQL and Kafka")
        servers = Servers(started_of(embedded.start()))
        if warm:
            progress("warming the broker up")
            warm_broker(servers)
        yield servers


def warm_broker(servers: Servers, most_s: float = WARM_S) -> None:
    """Let the JVM compile its produce and fetch paths before the first measurement."""
    begun = time.monotonic()
    kafka = servers.clients
    with servers.topics(["warm"], 4):
        producer = Producer({**kafka, "acks": "all", "enable.idempotence": True, "linger.ms": 1})
        consumer = Consumer({**kafka, "group.id": "warm", "auto.offset.reset": "earliest"})
        consumer.subscribe(["warm"])
        for number in range(WARM_MESSAGES):
            producer.produce("warm", bytes(400), b"%d" % number)
            if number % 50 == 0:
                producer.flush()
                consumer.consume(1000, 0)
                if time.monotonic() - begun > most_s:
                    break
        consumer.close()


def folder_of_logs(servers: Servers) -> Path:
    """Return where the measured processes log."""
    folder = servers.folder / "bench-logs"
    folder.mkdir(exist_ok=True)
    return folder
