"""Inbox rows that go with the locks: which messages may, and what happens if the database's clock is set back."""

from datetime import timedelta

import pytest

from consumers.order_confirmed import authorize_payment
from domain.ports.source import Message
from outbox.store import PostgresStore
from outbox.store.loading import Loading
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline, now
from tests.consumers.orders import order
from tests.consumers.sources import ListSource, consume

pytestmark = pytest.mark.integration
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def asked_behind(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note for each transaction with orders whether a statement went behind its locks."""
    noted: list[bool] = []
    lock = Loading._lock

    async def noting(self: Loading, order_ids, **how):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        if order_ids:
            noted.append(how.get("behind") is not None)
        return await lock(self, order_ids, **how)

    monkeypatch.setattr(Loading, "_lock", noting)
    return noted


def messages(pipeline: Pipeline, **ahead: timedelta) -> list[Message]:
    """Make a message of each order, so far ahead of time."""
    topic = pipeline.settings.topic_prefix + "OrderConfirmed"
    events = [order(name, "pm_card_chargeDeclined", occurred_at=now() + by) for name, by in ahead.items()]
    bodies = [(event.order_id.encode(), pipeline.codec.encode(event)) for event in events]
    return [Message(topic, 0, n, key, body, (), 0) for n, (key, body) in enumerate(bodies)]


async def take(pipeline: Pipeline, store: PostgresStore, **ahead: timedelta) -> None:
    source = ListSource(messages(pipeline, **ahead), batch=10)
    await consume(pipeline.engine(store), authorize_payment, source)


async def entered(pipeline: Pipeline) -> object:
    return await pipeline.value("SELECT count(*) FROM inbox")


async def refused(pipeline: Pipeline) -> object:
    return await pipeline.rows("SELECT order_id, reason, own_inbox FROM dead_letter ORDER BY order_id")


async def test_rows_go_with_the_locks_once_the_clock_was_seen(
    make_pipeline: MakePipeline, asked_behind: list[bool]
) -> None:
    pipeline = await make_pipeline()
    store = pipeline.store()
    await take(pipeline, store, first=timedelta())
    assert asked_behind == [False, False], "the plan has seen no clock before; an answer enters nothing"
    asked_behind.clear()
    await take(pipeline, store, second=timedelta(seconds=100))
    assert asked_behind == [True, False]
    assert await entered(pipeline) == 2


async def test_message_from_the_future_never_enters_with_the_locks(
    make_pipeline: MakePipeline, asked_behind: list[bool]
) -> None:
    pipeline = await make_pipeline()
    store = pipeline.store()
    await take(pipeline, store, first=timedelta())
    asked_behind.clear()
    await take(pipeline, store, second=timedelta(), ahead=AN_HOUR)
    assert asked_behind == [False, False]
    assert await entered(pipeline) == 2
    assert await refused(pipeline) == [("ahead", "from_the_future", False)]


async def test_after_the_clock_was_set_back_what_is_from_the_future_now_is_refused_and_leaves_no_row(
    make_pipeline: MakePipeline, asked_behind: list[bool]
) -> None:
    """Had its row stayed, the same message would be taken for a repetition when its time has come."""
    pipeline = await make_pipeline()
    store = pipeline.store()
    await take(pipeline, store, first=timedelta())
    store._learned.seen = now() + AN_HOUR
    asked_behind.clear()
    await take(pipeline, store, second=timedelta(), ahead=AN_HOUR)
    assert asked_behind == [True, False, False], "entered with the locks, lost, and run again without"
    assert await entered(pipeline) == 2
    assert await refused(pipeline) == [("ahead", "from_the_future", False)]
    assert await pipeline.value("SELECT count(*) FROM orders") == 2
