"""Rows go in as they are, by arrays and by COPY, whichever columns have one value in all rows and whichever not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.order import Status
from outbox.driver.batches import Column, insert, word
from tests.outbox.migrated import database_template

__all__ = ["database_template"]
pytestmark = pytest.mark.integration

COLUMNS = (
    word("status"),
    Column("name"),
    Column("body", "bytea"),
    Column("amount", "bigint"),
    Column("number", "bigint", kind="number"),
    Column("attempt", "integer"),
    Column("live", "boolean"),
    Column("id", "uuid"),
    Column("at", "timestamptz"),
    Column("day", "date"),
)
AT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
ONE = (Status.CONFIRMED, "na\u00efve", b"\0\xff", 2**40, -1, 7, True, UUID(int=5), AT, AT.date())
OTHER = (Status.PAYMENT_FAILED, None, None, 0, 1, 0, False, None, None, datetime(1999, 12, 31, tzinfo=UTC).date())
WRITE = insert("sample", COLUMNS)


def mixed(different: int) -> tuple[Any, ...]:
    """Differ from ONE in every column of these bits."""
    return tuple(OTHER[n] if different >> n & 1 else ONE[n] for n in range(len(COLUMNS)))


CASES = {
    "one row": [ONE],
    "equal rows": [ONE] * 3,
    "different rows": [ONE, OTHER, ONE],
    "first and last equal": [ONE, OTHER, OTHER, ONE],
    "every second column": [mixed(0), mixed(0b0101010101)],
    "the other columns": [mixed(0), mixed(0b1010101010)],
    "the first column": [mixed(1), ONE],
    "the last column": [ONE, mixed(1 << 9)],
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url.replace("+psycopg", "")) as made:
        columns = ", ".join(f"{c.name} {c.type}" for c in COLUMNS)
        made.execute(f"CREATE TEMP TABLE sample ({columns}, n bigserial)".encode())
        made.execute("SET timezone = 'UTC'")
        yield made


def stored(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    names = ", ".join(c.name for c in COLUMNS)
    return connection.execute(f"SELECT {names} FROM sample ORDER BY n".encode()).fetchall()


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES.keys())
def test_by_copy(connection: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(WRITE.copy) as copy:
        copy.write(WRITE.body(rows))
    assert stored(connection) == rows


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES.keys())
def test_by_arrays(connection: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
    connection.execute(WRITE.batch.sql, WRITE.batch.arrays(rows))
    assert stored(connection) == rows


def test_a_row_that_lacks_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        WRITE.body([ONE[:-1]])
