"""A deployment of a test's own: its database, migrated, its topics, and the simulated gateway."""

from pathlib import Path

import pytest

from tests.deploy.commands import payments


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
    """Make schema and topics there."""
    for command in (["migrate"], ["topics", "create"]):
        ran = payments(tmp_path, *command, **places)
        assert ran.code == 0, ran.err
    return places
