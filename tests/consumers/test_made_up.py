"""Whatever the door accepts goes through the real database, and what it refuses, however odd, is kept there."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url
from structlog.testing import capture_logs

from producers.unchecked import encode_unchecked
from schemas.fields import INT_MAX, LONG_MAX
from tests.consumers.harness import now
from tests.consumers.made_up import Made
from tests.door.made_up import ANSWERS, STOCKS, clicks, orders

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ORDERS: Final = 30
LETTERS: Final = 100
SLOW: Final = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
ENDS: Final = ("paid_and_confirmed", "payment_failed", "manual_review")
NANOSECONDS: Final = 1_770_000_000_000_000_000

Fields = dict[str, Any]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def made(database_url: str, runner: asyncio.Runner) -> Iterator[Made]:
    """Run a house that logs to nobody: it has much to tell."""
    house = Made(make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False))
    runner.run(house.start())
    with capture_logs():
        yield house
    runner.run(house.close())


def test_whatever_the_door_accepts_comes_to_its_end_in_the_database(made: Made, runner: asyncio.Runner) -> None:
    seen: Counter[str] = Counter()
    numbers = count(1)
    at = now()

    def renamed(fields: Fields, number: int) -> Fields:
        """Give each example orders and events of its own, for the database is the same."""
        tail = fields["event_id"][8:]
        named = {"order_id": f"{fields['order_id']}-{number}"} if fields["order_id"].startswith("order-") else {}
        return fields | {"event_id": f"{number:08x}{tail}"} | named

    @given(
        said=st.tuples(orders(at, "order-1"), orders(at, "order-2"), orders(at, "order-3")),
        clicked=clicks(at, "order-1", "1"),
        answers=st.lists(ANSWERS, max_size=8),
        stock=STOCKS,
        copies=st.sampled_from([0, 0, 0, 0, 0, 25]),
    )
    @settings(max_examples=ORDERS, deadline=None, suppress_health_check=SLOW)
    def holds(said: Sequence[Fields], clicked: Fields, answers: Any, stock: int | None, copies: int) -> None:
        number = next(numbers)
        skus = {line["sku"] for fields in said for line in fields["lines"] if "\0" not in line["sku"]}
        runner.run(made.stock(sorted(skus), stock))
        named = [renamed(fields, number) for fields in said]
        # So many that rows are copied, in place of inserted.
        named += [renamed(said[0], next(numbers)) for _ in range(copies)]
        runner.run(made.live([_message(made, "OrderConfirmed", fields) for fields in named], answers))
        runner.run(made.live([_message(made, "PaymentRetryRequested", renamed(clicked, number))], ()))

    holds()
    for status, orders_so in runner.run(made.rows("SELECT status, count(*) FROM orders GROUP BY 1")):
        seen[status] = orders_so
    assert set(seen) <= set(ENDS), f"some orders never ended: {seen}"
    # How many of each is chance; that there are some shows that the examples go all the way.
    assert min(seen["paid_and_confirmed"], seen["payment_failed"]) > 0


def _message(made: Made, event_type: str, fields: Fields) -> Any:
    return made.message(event_type, fields["order_id"].encode(), encode_unchecked(event_type, fields))


TIMES: Final = st.sampled_from(
    [0, -1, -2, 1_770_000_000_000, NANOSECONDS, -NANOSECONDS, LONG_MAX, -LONG_MAX - 1, 253_402_300_799_999]
)
NAMES: Final = st.sampled_from(
    ["", "ce_id", "ce_\0", "\0", "\ud800", "x" * 5_000, "kafka_dlt-original-topic", "payments_reason", "\U0010ffff"]
) | st.text(max_size=4)
SMALL: Final = st.binary(max_size=12)
KEYS: Final = st.none() | st.sampled_from([b"", b"order-1", b"\0", b"\xff" * 3_000, b"4242424242424242"]) | SMALL
GOOD_BODY: Final = encode_unchecked(
    "OrderConfirmed",
    {
        "event_id": "53b9ed82-8027-5331-9eb5-d391b8b5afe2",
        "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
        "order_id": "order-1",
        "correlation_id": "c",
        "customer_id": "c\0",
        "currency": "EUR",
        "lines": [],
        "discount_minor": 0,
        "delivery_fee_minor": 0,
        "service_fee_minor": 0,
        "total_minor": 0,
    },
)
VALUES: Final = (
    st.none()
    | st.sampled_from([b"", b"\xc3\x01", b"\x00\x00\x00\x00\x07", b"4242 4242 4242 4242 " * 5_000, b"\0" * 70_000])
    | st.sampled_from([GOOD_BODY, GOOD_BODY[:-3], GOOD_BODY + b"\0"])
    | SMALL
)
HEADERS: Final = st.lists(st.tuples(NAMES, st.none() | SMALL | st.just(b"4242424242424242")), max_size=4)


def test_any_message_that_is_refused_is_kept_and_goes_to_its_dead_letter_topic(
    made: Made, runner: asyncio.Runner
) -> None:
    numbers = count(1)
    topics: list[str] = []

    @given(
        key=KEYS,
        value=VALUES,
        headers=HEADERS,
        timestamp_ms=TIMES,
        partition=st.sampled_from([0, 1, INT_MAX]),
        offset=st.sampled_from([0, 1, LONG_MAX]),
    )
    @settings(max_examples=LETTERS, deadline=None, suppress_health_check=SLOW)
    def holds(key: Any, value: Any, headers: Any, timestamp_ms: int, partition: int, offset: int) -> None:
        topics.append(f"t{next(numbers)}.OrderConfirmed")
        at = {"headers": headers, "timestamp_ms": timestamp_ms, "partition": partition, "offset": offset}
        runner.run(made.plan("OrderConfirmed", [made.message(topics[-1], key, value, **at)]))
        sent = runner.run(made.sent())
        assert [message.topic for message in sent] == [f"{topics[-1]}.dlt"]
        builder = BatchBuilder(1 << 20, 0, is_transactional=False)
        for message in sent:
            told = dict(message.headers)
            assert int.from_bytes(told["kafka_dlt-original-timestamp"] or b"", "big", signed=True) == timestamp_ms
            assert int.from_bytes(told["kafka_dlt-original-offset"] or b"", "big") == offset
            written = builder.append(timestamp=None, key=message.key, value=message.value, headers=message.headers)
            assert written is not None

    holds()
    kept = runner.run(made.rows("SELECT topic, count(*) FROM dead_letter GROUP BY 1"))
    assert dict(kept) == dict.fromkeys(topics, 1)
    runner.run(_read_in_every_zone(made))


def test_whatever_an_error_says_what_raised_it_is_put_in_quarantine(made: Made, runner: asyncio.Runner) -> None:
    numbers = count(1)

    @given(st.text(st.characters(), max_size=400) | st.just("\0") | st.just("no \0 luck \ud800 today"))
    @settings(max_examples=LETTERS, deadline=None, suppress_health_check=SLOW)
    def holds(words: str) -> None:
        runner.run(made.set_aside(f"order-{next(numbers)}", ValueError(words)))

    holds()
    ((kept,),) = runner.run(made.rows("SELECT count(*) FROM quarantine"))
    assert kept == next(numbers) - 1


async def _read_in_every_zone(made: Made) -> None:
    """Read the moments of all letters as an operator does, wherever they sit."""
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        await made.rows(f"SET timezone = '{zone}'")
        for (at,) in await made.rows("SELECT message_at FROM dead_letter"):
            assert isinstance(at, datetime)
            assert timedelta(0) <= at - datetime(1, 1, 1, tzinfo=UTC)
