"""The servers of one layer, fresh and warm, and always ended."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.embedded.ports import HOST
from deploy.embedded.programs import OURS, Programs
from deploy.embedded.servers import start_all, stop_all
from deploy.embedded.temporary import temporary_folder
from tests.bench.environment import Progress
from tests.bench.layers.brokers import brokers_in
from tests.bench.layers.databases import Primary, Standby
from tests.bench.layers.kinds import Layer
from tests.bench.servers import Servers, Started, warm_broker
from tests.secure.certificates import Authority, Issued
from tests.secure.postgres import binaries

WARM_S: Final = 20.0
PREFIX: Final = "payments-bench-"
NO_TLS: Final = "PostgreSQL here is built without TLS, so that layers with it are left out: apt-get install postgresql"
Tls = tuple[Authority, Issued]


@dataclass(frozen=True, slots=True)
class Site:
    """Servers of a layer, and the settings that lead the measured processes there."""

    servers: Servers
    settings: dict[str, str]


def programs_here() -> Programs:
    """Return Debian's PostgreSQL, which speaks TLS, for every layer; without it the embedded one."""
    return Programs(postgres=binaries()) if speaks_tls() else OURS


def speaks_tls() -> bool:
    """Tell whether there is a PostgreSQL that does."""
    return binaries() is not None


@contextmanager
def site_of(layer: Layer, progress: Progress) -> Iterator[Site]:
    """Start the servers of a layer, and warm the brokers up. The last of them is gone when this is left."""
    with ExitStack() as stack:
        authority = Authority("the bench's authority")
        tls = (authority, authority.issue("server", hosts=(HOST,))) if layer.tls else None
        # Each has a folder of its own, since a server's pid file is named after its kind.
        folders = [stack.enter_context(temporary_folder(PREFIX)) for _ in range(layer.brokers + 1)]
        *of_brokers, of_primary = folders
        brokers = brokers_in(of_brokers, tls, progress)
        primary = Primary(of_primary, tls, programs_here(), progress)
        stack.callback(stop_all, [*brokers.values(), primary], immediate=True)
        start_all([*brokers.values(), primary])
        postgres: dict[Path, Primary] = {of_primary: primary}
        if layer.standby:
            postgres |= stack.enter_context(_standby(primary, tls, progress))
        cafile = authority.write(of_primary, "kafka-ca")
        bootstrap = ",".join(broker.clients_address for broker in brokers.values())
        clients = {"security.protocol": "SSL", "ssl.ca.location": str(cafile)} if layer.tls else {}
        places = (of_primary, dict(brokers), dict(postgres), bootstrap, primary.clients_url)
        servers = Servers(Started(*places, clients, layer.brokers))
        warm_broker(servers, WARM_S)
        yield Site(servers, _settings(layer, cafile))


@contextmanager
def _standby(primary: Primary, tls: Tls | None, progress: Progress) -> Iterator[dict[Path, Primary]]:
    with temporary_folder(PREFIX) as folder:
        standby = Standby(folder, primary, tls, programs_here(), progress)
        try:
            standby.start()
            primary.wait_for_standby()
            yield {folder: standby}
        finally:
            standby.stop(immediate=True)


def _settings(layer: Layer, cafile: Path) -> dict[str, str]:
    settings = {"PAYMENTS_TOPIC_REPLICATION_FACTOR": str(layer.brokers)}
    if layer.tls:
        settings |= {"PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SSL", "PAYMENTS_KAFKA_SSL_CAFILE": str(cafile)}
    if layer.metrics:
        settings["PAYMENTS_METRICS_LISTEN"] = f"{HOST}:0"
    return settings
