"""Pipelines on a Kafka whose files the tests write into: always an embedded one of this folder's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServers, temporary_servers
from tests.consumers.conftest import database_template, make_pipeline
from tests.servers.memory import in_memory

__all__ = ["database_template", "make_pipeline"]


@pytest.fixture(scope="session")
def kafka_of_ours() -> Iterator[EmbeddedServers]:
    with temporary_servers(progress=print, parent=in_memory()) as servers:
        servers.own()
        servers.kafka.start()
        yield servers


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_of_ours: EmbeddedServers) -> str:
    """Override the run's shared Kafka: nobody else's messages lie where these tests write."""
    return kafka_of_ours.kafka_bootstrap


@pytest.fixture(scope="session")
def data_dir(kafka_of_ours: EmbeddedServers) -> Path:
    return kafka_of_ours.data_dir
