"""A deployment of a test's own: its database, migrated, its topics, and the simulated gateway."""

from pathlib import Path

import pytest

from deploy.preparing import migrate_database
from deploy.running import run
from deploy.settings import load_settings
from deploy.topics import owners_of
from producers.topics import create_topics


@pytest.fixture
def places(kafka_bootstrap: str, database_url: str, topic_prefix: str) -> dict[str, str]:
    """Name servers that are there, without schema and topics."""
    return {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        "PAYMENTS_TOPIC_PARTITIONS": "3",
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SIMULATED_LATENCY_MS": "0",
    }


@pytest.fixture
def deployment(tmp_path: Path, places: dict[str, str]) -> dict[str, str]:
    """Make schema and topics there, as `payments migrate` and `payments topics create` do."""
    settings = load_settings(places, directory=tmp_path)
    migrate_database(settings)
    topics = create_topics(
        settings.kafka_options(),
        owners_of(settings.topic_prefix),
        partitions=settings.topic_partitions,
        replication_factor=settings.topic_replication_factor,
        event_bytes_max=settings.event_bytes_max,
    )
    run(topics)
    return places
