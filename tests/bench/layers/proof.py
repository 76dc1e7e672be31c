"""Whether a layer was really there while it was measured."""

from tests.bench.layers.databases import sync_state
from tests.bench.layers.kinds import INSYNC, Layer
from tests.bench.layers.scraping import Scraper
from tests.bench.run import Run
from tests.bench.servers import Servers

ANSWER_S = 10.0
_WITHOUT_TLS = """
SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
 WHERE backend_type IN ('client backend', 'walsender') AND NOT ssl
"""


def missing(layer: Layer, servers: Servers, run: Run, scraper: Scraper | None) -> list[str]:
    """Say what was not as the layer has it. To be called while the measured processes still run."""
    found = _replicas(layer, servers, run.prefix)
    with servers.superuser().connect() as admin:
        if layer.standby and (state := sync_state(admin)) != "sync":
            found.append(f"the standby is not synchronous, but {state or 'gone'}")
        row = admin.execute(_WITHOUT_TLS).fetchone()
        if layer.tls and row is not None and row[0]:
            found.append(f"{row[0]} connections to PostgreSQL without TLS")
    if scraper is not None and not scraper.scrapes:
        found.append("nobody scraped any metrics")
    return found


def _replicas(layer: Layer, servers: Servers, prefix: str) -> list[str]:
    """Say which topics of the run have other replicas than the layer's brokers, or too few in sync."""
    insync = min(INSYNC, layer.brokers)
    topics = servers.admin.list_topics(timeout=ANSWER_S).topics
    return [
        f"{name}: {len(place.replicas)} replicas, {len(place.isrs)} in sync"
        for name, topic in topics.items()
        if name.startswith(prefix)
        for place in topic.partitions.values()
        if len(place.replicas) != layer.brokers or len(place.isrs) < insync
    ]
