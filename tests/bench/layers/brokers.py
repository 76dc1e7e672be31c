"""Brokers of one cluster, each a broker and a controller, with the jars of the embedded one; with TLS or without."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.embedded.kafka import FULL_JAVA, KafkaServer
from deploy.embedded.ports import HOST, kept_port
from tests.bench.layers.kinds import INSYNC
from tests.secure.certificates import Authority, Issued

HEAP: Final = {"-Xms256m": "-Xms64m", "-Xmx1g": "-Xmx512m"}
"""The same in every layer, so that three brokers differ from one in their number only."""
CLUSTER: Final = "payments-bench-cluster"
SESSION_MS: Final = 9_000
"""Kafka's own default. The embedded broker has a shorter one, which holds while its controller is in its process."""


class Broker(KafkaServer):
    """One of several. controllers: address of each controller, by node id. tls: authority, and the broker's own."""

    def __init__(
        self,
        data_dir: Path,
        node: int,
        controllers: Mapping[int, str],
        tls: tuple[Authority, Issued] | None,
        progress: Callable[[str], None],
    ) -> None:
        super().__init__(data_dir, progress=progress)
        self._options = tuple(HEAP.get(option, option) for option in FULL_JAVA)
        self._node = node
        self._controllers = controllers
        self._tls = tls
        self._tls_port = kept_port(data_dir, "kafka-tls")

    @property
    def clients_address(self) -> str:
        """Where clients and other brokers come, as host:port."""
        return self.address if self._tls is None else f"{HOST}:{self._tls_port}"

    def _cluster_id(self) -> str:
        return CLUSTER

    def _properties(self) -> str:
        replicas = len(self._controllers)
        insync = min(INSYNC, replicas)
        more = {
            "node.id": self._node,
            "controller.quorum.voters": ",".join(f"{node}@{at}" for node, at in self._controllers.items()),
            "default.replication.factor": replicas,
            "min.insync.replicas": insync,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": insync,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": insync,
            "broker.session.timeout.ms": SESSION_MS,
            **({} if self._tls is None else self._of_tls(*self._tls)),
        }
        # Of two lines with one name Kafka takes the last.
        return super()._properties() + "".join(f"{name}={value}\n" for name, value in more.items())

    def _of_tls(self, authority: Authority, own: Issued) -> dict[str, str]:
        """Add a listener with TLS for clients and other brokers. Only whoever asks if it runs comes to the other."""
        controller = f"CONTROLLER://{HOST}:{self._controller_port}"
        return {
            "listeners": f"PLAINTEXT://{self.address},{controller},TLS://{self.clients_address}",
            "advertised.listeners": f"PLAINTEXT://{self.address},TLS://{self.clients_address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL",
            "inter.broker.listener.name": "TLS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _line(own.certificate),
            "ssl.keystore.key": _line(own.key),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.certificates": _line(authority.certificate),
        }


def brokers_in(
    folders: Sequence[Path], tls: tuple[Authority, Issued] | None, progress: Callable[[str], None]
) -> dict[Path, Broker]:
    """Make one broker for each folder, not started yet. None of them starts without most of the others."""
    nodes = dict(enumerate(folders, 1))
    controllers = {node: f"{HOST}:{kept_port(folder, 'kafka-controller')}" for node, folder in nodes.items()}
    return {folder: Broker(folder, node, controllers, tls, progress) for node, folder in nodes.items()}


def _line(pem: bytes) -> str:
    """Write PEM as one line of a properties file."""
    return pem.decode().strip().replace("\n", "\\n")
