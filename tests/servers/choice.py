"""Which servers the tests use: those named, else Docker's, else the embedded ones; and why, for the run's summary."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.servers import engine

KAFKA = "PAYMENTS_TEST_KAFKA"
DATABASE = "PAYMENTS_TEST_DATABASE_URL"
KAFKA_IMAGE, KAFKA_IMAGE_DEFAULT = "PAYMENTS_TEST_KAFKA_IMAGE", "apache/kafka:4.1.0"
POSTGRES_IMAGE, POSTGRES_IMAGE_DEFAULT = "PAYMENTS_TEST_POSTGRES_IMAGE", "postgres:18"


class Kind(StrEnum):
    GIVEN = "given"
    DOCKER = "Docker"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Choice:
    """What both servers come from unless one is given; why is for people."""

    kind: Kind
    why: str
    kafka_given: str | None
    database_given: str | None
    kafka_image: str
    postgres_image: str


def environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - PAYMENTS_TEST_* are the tests' own settings, which deploy/settings does not know


def choose(settings: Mapping[str, str]) -> Choice:
    kafka, database = settings.get(KAFKA) or None, settings.get(DATABASE) or None
    images = (
        settings.get(KAFKA_IMAGE) or KAFKA_IMAGE_DEFAULT,
        settings.get(POSTGRES_IMAGE) or POSTGRES_IMAGE_DEFAULT,
    )
    if kafka and database:
        return Choice(Kind.GIVEN, f"{KAFKA} and {DATABASE} are set", kafka, database, *images)
    # An image is only fetched for a server that nobody gave.
    needed = [image for image, given in zip(images, (kafka, database), strict=True) if not given]
    refusal = engine.why_not(needed)
    if refusal is None:
        return Choice(Kind.DOCKER, f"an engine answers and has {' and '.join(needed)}", kafka, database, *images)
    return Choice(Kind.EMBEDDED, refusal, kafka, database, *images)
