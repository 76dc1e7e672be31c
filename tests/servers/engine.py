"""Docker, if an engine answers: whether it has the images, and the two servers in containers of ours."""

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from docker.errors import (  # type: ignore[import-untyped]  # docker ships no types, and no stubs are locked
    DockerException,
    ImageNotFound,
)
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient, get_docker_host
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from deploy.embedded.ports import free_port

PING_S = 1.0
ANSWER_S = 10
DEFAULT_HOST = "unix:///var/run/docker.sock"
PULL_S = 60
READY_S = 120
LOG_BYTES_MAX = 2000

# The reaper is one more image to fetch, from one more place; the fixtures stop what they start.
testcontainers_config.ryuk_disabled = True


def why_not(images: Sequence[str]) -> str | None:
    """Say why Docker cannot be used, or None if it can: an engine answers and has the images within PULL_S seconds."""
    host = get_docker_host() or DEFAULT_HOST
    if not _answers(host):
        return f"no Docker engine answers at {host}"
    try:
        client = DockerClient(timeout=ANSWER_S).client
        with contextlib.closing(client):
            missing = [image for image in images if not _has(client, image)]
    except (DockerException, OSError) as error:
        return f"the Docker engine at {host} cannot be used ({type(error).__name__})"
    end = time.monotonic() + PULL_S
    for image in missing:
        refusal = _pull(image, end - time.monotonic())
        if refusal is not None:
            return refusal
    return None


def start_kafka(image: str) -> tuple[DockerContainer, str]:
    """Run apache/kafka as one KRaft node; returns the container, to be stopped by the caller, and host:port.

    The image drops all its defaults as soon as one KAFKA_ variable is set, so the whole set is given. The port is
    chosen before the start, for the broker must advertise the one that clients will see.
    """
    port = free_port()
    container = DockerContainer(image)
    host = container.get_docker_client().host().replace("localhost", "127.0.0.1")
    container = (
        container.with_bind_ports(9092, port)
        .with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
            KAFKA_LISTENERS="PLAINTEXT://:9092,CONTROLLER://:9093",
            KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://{host}:{port}",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_INTER_BROKER_LISTENER_NAME="PLAINTEXT",
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
            KAFKA_MIN_INSYNC_REPLICAS="1",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS="4",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
            KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR="1",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS="1000",
        )
        .waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(READY_S))
    )
    _start(container)
    return container, f"{host}:{port}"


def start_postgres(image: str) -> tuple[DockerContainer, str]:
    """Run PostgreSQL; returns the container, to be stopped by the caller, and a SQLAlchemy URL of a superuser."""
    container = PostgresContainer(image, username="payments", password="payments", dbname="payments", driver="psycopg")
    _start(container.with_command("postgres -c max_connections=200"))
    return container, str(container.get_connection_url())


def _start(container: DockerContainer) -> None:
    try:
        container.start()
    except BaseException as error:
        if container._container is not None:
            for log in container.get_logs():
                error.add_note(log[-LOG_BYTES_MAX:].decode("utf-8", "replace"))
            container.stop()
        raise


def _answers(host: str) -> bool:
    """Ask the engine for a sign of life by hand: Docker's client leaves sockets open where nobody answers."""
    place = urlsplit(host)
    if place.scheme == "tcp" and place.hostname and place.port:
        with contextlib.suppress(OSError), socket.create_connection((place.hostname, place.port), PING_S):
            return True
        return False
    if place.scheme != "unix":
        return True
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PING_S)
        connection.connect(place.path)
        connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
        return connection.recv(12).endswith(b" 200")
    return False


def _has(client: Any, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def _pull(image: str, timeout_s: float) -> str | None:
    """Fetch an image in a thread that is left behind when the time is over: the client cannot be interrupted."""
    failure: list[str] = []

    def pull() -> None:
        try:
            with contextlib.closing(DockerClient(timeout=PULL_S).client) as client:
                client.images.pull(image)
        except (DockerException, OSError) as error:
            failure.append(type(error).__name__)

    thread = threading.Thread(target=pull, name=f"pull {image}", daemon=True)
    thread.start()
    thread.join(max(0.0, timeout_s))
    if thread.is_alive():
        return f"Docker had no {image} and did not get it within {PULL_S} s"
    return f"Docker has no {image} and cannot get it ({failure[0]})" if failure else None
