"""`payments topics create` and `payments publish` on a real Kafka."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.topics import CONSUMED, TOPICS
from tests.deploy.commands import payments
from tests.producers.reading import read_all, settings_of

pytestmark = pytest.mark.integration


def line(number: int, **changes: Any) -> str:
    fields = {
        "type": "OrderConfirmed",
        "order_id": f"order-{number}",
        "customer_id": "customer-1",
        "currency": "EUR",
        "lines": [{"sku": "tea", "quantity": 2, "unit_price_minor": 500}],
        "discount_minor": 0,
        "delivery_fee_minor": 250,
        "service_fee_minor": 0,
        "total_minor": 1250,
        "payment_method": {"kind": "CARD", "token": "pm_card_visa"},
        **changes,
    }
    return json.dumps(fields) + "\n"


@pytest.fixture
def environment(kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    return {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        "PAYMENTS_TOPIC_PARTITIONS": "3",
    }


@pytest.fixture
def topics(tmp_path: Path, environment: dict[str, str]) -> None:
    assert payments(tmp_path, "topics", "create", **environment).code == 0


async def test_topics_create_makes_every_topic_and_its_dead_letters_once(
    tmp_path: Path, environment: dict[str, str], topic_prefix: str, kafka_bootstrap: str
) -> None:
    names = [topic_prefix + name for name in TOPICS] + [f"{topic_prefix}{name}.dlt" for name in CONSUMED]
    first = payments(tmp_path, "topics", "create", "--json", **environment)
    assert (first.code, first.err) == (0, "")
    same: dict[str, object] = {"differences": [], "not_mended": {}, "not_compared": {}}
    assert json.loads(first.out) == {"created": names, "existing": [], **same}
    again = payments(tmp_path, "topics", "create", "--json", **environment)
    assert json.loads(again.out) == {"created": [], "existing": names, **same}
    assert (await settings_of(kafka_bootstrap, names[0]))["retention.ms"] == "-1"


def test_more_copies_than_brokers_are_refused_in_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    ran = payments(tmp_path, "topics", "create", **{**environment, "PAYMENTS_TOPIC_REPLICATION_FACTOR": "3"})
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "PAYMENTS_TOPIC_REPLICATION_FACTOR=1" in ran.err


@pytest.mark.usefixtures("topics")
async def test_a_file_is_published_as_checkout_would(
    tmp_path: Path, environment: dict[str, str], topic_prefix: str, kafka_bootstrap: str
) -> None:
    (tmp_path / "orders.jsonl").write_text("".join(line(number) for number in range(30)))
    ran = payments(tmp_path, "publish", "orders.jsonl", "--json", **environment)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {"published": 30, "types": {"OrderConfirmed": 30}}
    records = await read_all(kafka_bootstrap, f"{topic_prefix}OrderConfirmed")
    events = [Codec().decode("OrderConfirmed", record.key, record.value) for record in records]
    assert sorted(event.subject for event in events) == sorted(f"order-{number}" for number in range(30))
    assert len({event.event_id for event in events}) == 30


@pytest.mark.usefixtures("topics")
async def test_one_bad_line_and_nothing_is_published(
    tmp_path: Path, environment: dict[str, str], topic_prefix: str, kafka_bootstrap: str
) -> None:
    stdin = line(1) + line(2, total_minor=1) + line(3)
    ran = payments(tmp_path, "publish", "-", stdin=stdin, **environment)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("line 2: total_mismatch: ")
    assert ran.err.count("\n") == 1
    assert await read_all(kafka_bootstrap, f"{topic_prefix}OrderConfirmed") == []


@pytest.mark.usefixtures("topics")
async def test_lines_of_one_sku_beyond_bounds_are_refused_where_they_are_published(
    tmp_path: Path, environment: dict[str, str], topic_prefix: str, kafka_bootstrap: str
) -> None:
    free = {"delivery_fee_minor": 0, "total_minor": 0, "payment_method": None}
    tea = {"sku": "tea", "quantity": 2_000_000_000, "unit_price_minor": 0}
    ran = payments(tmp_path, "publish", "-", stdin=line(1, lines=[tea, tea], **free), **environment)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("line 1: invalid_field: lines: the lines of one SKU come to more than 2147483647 units.")
    assert await read_all(kafka_bootstrap, f"{topic_prefix}OrderConfirmed") == []


@pytest.mark.usefixtures("topics")
async def test_unchecked_lines_are_published_as_they_are(
    tmp_path: Path, environment: dict[str, str], topic_prefix: str, kafka_bootstrap: str
) -> None:
    garbage = json.dumps({"type": "OrderConfirmed", "raw_hex": "c0ffee", "key": "order-2"}) + "\n"
    ran = payments(tmp_path, "publish", "-", "--unchecked", stdin=line(1, total_minor=1) + garbage, **environment)
    assert (ran.code, ran.err) == (0, "")
    records = await read_all(kafka_bootstrap, f"{topic_prefix}OrderConfirmed")
    assert sorted(record.key for record in records) == [b"order-1", b"order-2"]
    assert b"\xc0\xff\xee" in [record.value for record in records]


def test_without_topics_nothing_is_sent_and_the_remedy_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    ran = payments(tmp_path, "publish", "-", stdin=line(1), **environment)
    assert ran.code == 3
    assert "run `payments topics create`" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.usefixtures("topics")
def test_an_empty_file_is_no_mistake(tmp_path: Path, environment: dict[str, str]) -> None:
    ran = payments(tmp_path, "publish", "-", "--json", stdin="\n", **environment)
    assert (ran.code, json.loads(ran.out)) == (0, {"published": 0, "types": {}})
