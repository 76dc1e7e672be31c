"""What deploy/DEBEZIUM.md says of our tables: why no connector reads messages from them."""

import psycopg
import pytest

from tests.outbox.world import Case

pytestmark = pytest.mark.integration


async def rows(case: Case, query: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(case.url) as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def test_a_row_of_the_outbox_names_messages_and_has_none(case: Case) -> None:
    columns = await rows(
        case,
        """SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = 'outbox'::regclass AND attnum > 0 ORDER BY attnum""",
    )
    assert columns == [("id", "bigint"), ("event_ids", "bigint[]")]


async def test_the_journal_has_neither_key_nor_headers_of_our_events_but_those_of_dead_letters(case: Case) -> None:
    found = await rows(
        case,
        """SELECT order_version > 0, bool_or(key IS NOT NULL), bool_or(header_names IS NOT NULL), count(*) > 0
             FROM event GROUP BY 1 ORDER BY 1""",
    )
    assert found == [(False, True, True, True), (True, False, False, True)]
