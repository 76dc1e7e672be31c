"""Sending again what a consumer group has not processed: all of it that the inbox could tell from repetitions."""

import pytest

from outbox.driver.connections import Connections
from outbox.driver.conninfo import connect
from outbox.schema.partitions import oldest_day
from outbox.store import PostgresStore
from outbox.store.unseen import NEAR_ENOUGH, send_unseen
from schemas.codec import Codec
from tests.outbox.migrated import database_template

__all__ = ["database_template"]

pytestmark = pytest.mark.integration

GROUP, TOPIC = "payments.notify_customer", "t.CustomerNotificationRequested"
COUNT = 4 * NEAR_ENOUGH + 1
"""Nearly three days of events; the inbox of a new database begins today."""
_FILL = """
    INSERT INTO event (event_id, order_id, order_version, ordinal, topic, body, occurred_at)
    SELECT gen_random_uuid(), 'order-' || n, 1, 0, CASE WHEN n %% 2 = 1 THEN %s ELSE 't.PaymentFailed' END, '',
           now() - interval '6 seconds' * (%s - n) FROM generate_series(1, %s) n"""
_SEEN = """
    INSERT INTO inbox (day, consumer_group, event_id)
    SELECT (occurred_at AT TIME ZONE 'UTC')::date, %s, event_id FROM event
     WHERE topic = %s AND id %% 10 = 3 AND (occurred_at AT TIME ZONE 'UTC')::date >= %s"""
_WAITING = "INSERT INTO outbox (event_ids) SELECT ARRAY[max(id)] FROM event WHERE topic = %s"
_WANTED = """
    SELECT id FROM event e WHERE topic = %s AND (occurred_at AT TIME ZONE 'UTC')::date >= %s
       AND NOT EXISTS (SELECT FROM inbox i WHERE i.event_id = e.event_id) ORDER BY id"""
_SENT = "SELECT event_ids FROM outbox ORDER BY id"


async def test_all_that_was_not_processed_and_only_that_is_sent_once_more(database_url: str) -> None:
    store = PostgresStore(Connections(database_url, 1), Codec().encode)
    assert (await store.maintain()).undone == ()
    await store.close()
    async with await connect(database_url, name="test", autocommit=True) as connection:
        oldest = await oldest_day(connection)
        await connection.execute(_FILL, [TOPIC, COUNT, COUNT])
        await connection.execute(_SEEN, [GROUP, TOPIC, oldest])
        wanted = [i for (i,) in await (await connection.execute(_WANTED, [TOPIC, oldest])).fetchall()]
        await connection.execute(_WAITING, [TOPIC])
        count = await send_unseen(connection, GROUP, TOPIC, oldest)
        again = await send_unseen(connection, GROUP, TOPIC, oldest)
        sent = [i for (ids,) in await (await connection.execute(_SENT)).fetchall() for i in ids]
    assert wanted
    assert sorted(sent) == wanted
    assert count == len(wanted) - 1
    assert again == 0
