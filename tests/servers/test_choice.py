import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.choice import Choice, Kind, choose

IMAGES = {"kafka_image": "apache/kafka:4.1.0", "postgres_image": "postgres:18"}


@pytest.fixture
def silent_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of an engine that accepts connections and never says a word."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield f"unix://{path}"


def test_servers_that_are_given_are_used_without_a_look_at_docker(silent_engine: str) -> None:
    given = {"PAYMENTS_TEST_KAFKA": "broker:9092", "PAYMENTS_TEST_DATABASE_URL": "postgresql+psycopg://db"}
    why = "PAYMENTS_TEST_KAFKA and PAYMENTS_TEST_DATABASE_URL are set"
    assert choose(given) == Choice(Kind.GIVEN, why, "broker:9092", "postgresql+psycopg://db", **IMAGES)


def test_one_given_server_leaves_the_other_to_be_chosen(silent_engine: str) -> None:
    given = {"PAYMENTS_TEST_KAFKA": "broker:9092", "PAYMENTS_TEST_POSTGRES_IMAGE": "mirror/postgres:18"}
    why = f"no Docker engine answers at {silent_engine}"
    images = {**IMAGES, "postgres_image": "mirror/postgres:18"}
    assert choose(given) == Choice(Kind.EMBEDDED, why, "broker:9092", None, **images)


def test_engine_that_never_answers_costs_less_than_two_seconds(silent_engine: str) -> None:
    start = time.monotonic()
    assert choose({}).kind is Kind.EMBEDDED
    assert time.monotonic() - start < 2
