"""The servers of one test run: started when a test first asks for one, stopped at its end."""

from collections.abc import Callable
from contextlib import ExitStack

from deploy.embedded import EmbeddedServers, temporary_servers
from tests.servers import engine
from tests.servers.choice import Choice, Kind, choose, environment
from tests.servers.memory import in_memory


class SessionServers:
    """Kafka and PostgreSQL for a whole run, each started once and only if asked for."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._stack = ExitStack()
        self._choice: Choice | None = None
        self._embedded: EmbeddedServers | None = None
        self._kafka: str | None = None
        self._database: str | None = None
        self.used: dict[str, str] = {}

    def kafka(self) -> str:
        """Return the bootstrap servers."""
        if self._kafka is None:
            self._kafka = self._start_kafka()
        return self._kafka

    def database(self) -> str:
        """Return the SQLAlchemy URL of a database, of a role that may make others."""
        if self._database is None:
            self._database = self._start_database()
        return self._database

    def summary(self) -> str:
        """Say which servers this run used, and why those."""
        if self._choice is None:
            return "servers: none, for no test asked for one"
        used = ", ".join(f"{server} {kind}" for server, kind in sorted(self.used.items()))
        return f"servers: {used} ({self._choice.why})"

    def close(self) -> None:
        """Stop what was started here, and only that."""
        self._stack.close()

    def _chosen(self) -> Choice:
        if self._choice is None:
            self._choice = choose(environment())
            self._tell(f"servers: {self._choice.kind}, for {self._choice.why}")
        return self._choice

    def _start_kafka(self) -> str:
        choice = self._chosen()
        if choice.kafka_given is not None:
            self.used["Kafka"] = Kind.GIVEN
            return choice.kafka_given
        self.used["Kafka"] = choice.kind
        if choice.kind is Kind.DOCKER:
            container, bootstrap = engine.start_kafka(choice.kafka_image)
            self._stack.callback(container.stop)
            return bootstrap
        servers = self._embedded_servers()
        servers.kafka.start()
        self.used["Kafka"] = f"{servers.kafka.version} {choice.kind}"
        return servers.kafka_bootstrap

    def _start_database(self) -> str:
        choice = self._chosen()
        if choice.database_given is not None:
            self.used["PostgreSQL"] = Kind.GIVEN
            return choice.database_given
        self.used["PostgreSQL"] = choice.kind
        if choice.kind is Kind.DOCKER:
            container, url = engine.start_postgres(choice.postgres_image)
            self._stack.callback(container.stop)
            return url
        servers = self._embedded_servers()
        servers.postgres.start()
        self.used["PostgreSQL"] = f"{servers.postgres.version} {choice.kind}"
        return servers.database_url

    def _embedded_servers(self) -> EmbeddedServers:
        if self._embedded is None:
            self._embedded = self._stack.enter_context(temporary_servers(progress=self._tell, parent=in_memory()))
            self._embedded.own()
        return self._embedded
