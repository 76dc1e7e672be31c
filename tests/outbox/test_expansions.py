"""A migration that expands leaves the release before nothing to stumble over."""

import psycopg
import pytest

from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from outbox.schema.steps import Kind, revisions, steps
from tests.outbox.catalogs import catalog_of, narrowed
from tests.outbox.migrated import database_template
from tests.outbox.test_numbering import to_revision

__all__ = ["database_template"]
pytestmark = pytest.mark.integration

FIRST = "0018"
"""The first whose kind is held to be true: those before are as UPGRADING.md says."""


def do(url: str, statement: str) -> None:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize("revision", [s.revision for s in steps() if s.kind is Kind.EXPAND and s.revision >= FIRST])
def test_an_expansion_only_adds(database_url: str, revision: str) -> None:
    to_revision(database_url, revisions()[revisions().index(revision) - 1])
    before = catalog_of(database_url)
    upgrade(database_url, target=lambda _: revision)
    assert narrowed(before, catalog_of(database_url)) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE orders DROP COLUMN confirmed_at", ["gone: orders.confirmed_at"]),
        (
            "ALTER TABLE orders RENAME delay_notified TO told",
            ["gone: orders.delay_notified", "must be written: orders.told"],
        ),
        ("ALTER TABLE event ADD more text NOT NULL", ["must be written: event.more"]),
        ("ALTER TABLE event ADD more text NOT NULL DEFAULT ''", []),
        ("ALTER TABLE event ADD more bigint GENERATED ALWAYS AS IDENTITY", []),
        ("ALTER TABLE event ADD more text", []),
        ("ALTER TABLE event ALTER causation_id SET NOT NULL", ["changed: event.causation_id"]),
        ("ALTER TABLE notification ALTER recorded_at DROP DEFAULT", ["changed: notification.recorded_at"]),
        ("ALTER TABLE event ALTER causation_id TYPE text", ["changed: event.causation_id"]),
        ("CREATE UNIQUE INDEX one ON orders (order_id, status)", ["a new bound: orders: one"]),
        ("CREATE INDEX one ON orders (order_id, status)", []),
        ("ALTER TABLE orders ADD CONSTRAINT one CHECK (version > 0)", ["a new bound: orders: one"]),
        ("DROP FUNCTION inbox_make_day(date)", ["gone: inbox_make_day(date)"]),
        ("CREATE TABLE more (id int PRIMARY KEY CHECK (id > 0))", []),
    ],
)
def test_what_takes_away_or_demands_more_is_found(database_url: str, statement: str, found: list[str]) -> None:
    before = catalog_of(database_url)
    do(database_url, statement)
    assert narrowed(before, catalog_of(database_url)) == found


def test_a_key_that_is_made_anew_is_found(database_url: str) -> None:
    before = catalog_of(database_url)
    do(database_url, "ALTER TABLE low_water DROP CONSTRAINT low_water_pkey, ADD PRIMARY KEY (name, at)")
    assert "a new bound: low_water: low_water_pkey" in narrowed(before, catalog_of(database_url))
