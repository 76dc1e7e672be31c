"""A copy of a played order is an order of its own: its ids, numbers and times differ, and its bodies say the same."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from deploy.embedded import temporary_servers
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from outbox.schema.tables import metadata
from schemas.codec import Codec
from schemas.events import PaymentAuthorized
from tests.bench.history.__main__ import table
from tests.bench.history.commands import Cost, measure
from tests.bench.history.indexes import RANDOM_FILLED, built_late, without_autovacuum
from tests.bench.history.played import NOT_KEPT, SEED, Rows
from tests.bench.history.template import SPREAD, Copy, templates_of
from tests.bench.orders import make_orders
from tests.bench.servers import superuser_of
from tests.schemas import builders

ORDER_ID: Final = f"demo-{SEED}-00001"
AT: Final = datetime(2026, 11, 30, 21, 27, 21, 483284, tzinfo=UTC)
EVENT: Final = builders.payment_authorized(
    order_id=ORDER_ID, occurred_at=AT, transaction_id="pi_3mmholhibfioii248", correlation_id=str(UUID(int=7))
)
CODEC: Final = Codec()
COPY: Final = Copy(3, 3_600)


def rows(**cells: str) -> Rows:
    return Rows(list(cells), [list(cells.values())])


def spread(name: UUID | str | None, number: int) -> str:
    text = str(name)
    return f"{(int(text[:8], 16) + number * SPREAD) % 2**32:08x}{text[8:]}"


def copied(name: str, copy: Copy = COPY) -> dict[str, str]:
    body = CODEC.encode(EVENT).hex()
    played = {
        "orders": rows(order_id=ORDER_ID, order_number="1005", created_at=f"{AT - timedelta(seconds=2)}"[:26] + "+00"),
        "event": rows(
            id="17",
            event_id=str(EVENT.event_id),
            occurred_at=f"{AT}"[:26] + "+00",
            body=rf"\\x{body}",
            order_number="1005",
        ),
        "dead_letter": rows(id="4", message_offset="12", key=rf"\\x{ORDER_ID.encode().hex()}", erased_at=r"\N"),
        "inbox": rows(day="2026-11-30", event_id=str(EVENT.event_id), content="-7"),
    }
    (template,) = [template for template in templates_of(played) if template.name == name]
    (line,) = template.copy(copy).splitlines()
    return dict(zip(template.columns, line.split("\t"), strict=True))


def test_a_copy_has_its_own_ids_numbers_and_times_in_columns() -> None:
    found = copied("event")
    assert found | {"body": ""} == {
        "id": "4",
        "event_id": spread(EVENT.event_id, 3),
        "occurred_at": "2026-11-30 22:27:21.483284+00",
        "body": "",
        "order_number": "4",
    }


def test_a_copys_body_is_the_event_with_its_own_ids_and_times() -> None:
    body = bytes.fromhex(copied("event")["body"].removeprefix(r"\\x"))
    order_id = f"demo-{SEED + 3}-00001"
    read = CODEC.decode("PaymentAuthorized", order_id.encode(), body)
    assert isinstance(read, PaymentAuthorized)
    later = timedelta(hours=1)
    expected = {
        "order_id": order_id,
        "event_id": UUID(spread(EVENT.event_id, 3)),
        "correlation_id": spread(EVENT.correlation_id, 3),
        "causation_id": UUID(spread(EVENT.causation_id, 3)),
        "occurred_at": AT + later,
        "transaction_id": f"pi_3m{3 * SPREAD % 2**32:08x}ioii248",
    }
    changed = {name: value for name, value in read.model_dump().items() if value != EVENT.model_dump()[name]}
    assert changed == expected


def test_a_copys_dead_letter_has_an_offset_of_its_own_and_keeps_what_is_null() -> None:
    key = f"demo-{SEED + 3}-00001".encode().hex()
    assert copied("dead_letter") == {"id": "4", "message_offset": "3012", "key": rf"\\x{key}", "erased_at": r"\N"}


def test_the_inbox_has_a_copys_events_on_their_day() -> None:
    tomorrow = copied("inbox", Copy(1, 3 * 3_600))
    assert tomorrow == {"day": "2026-12-01", "event_id": spread(EVENT.event_id, 1), "content": "-7"}


def test_the_original_is_the_copy_without_shift_but_for_its_tag() -> None:
    found = bytes.fromhex(copied("event", Copy(0, 0))["body"].removeprefix(r"\\x"))
    assert len(found) == len(CODEC.encode(EVENT))


def test_the_copies_of_a_random_id_lie_everywhere_and_no_two_are_the_same() -> None:
    ids = sorted(copied("event", Copy(number, 0))["event_id"] for number in range(256))
    assert len({name[:1] for name in ids}) == 16
    gaps = [int(after[:8], 16) - int(before[:8], 16) for before, after in pairwise(ids)]
    assert min(gaps) > 0
    assert max(gaps) < 3 * 2**32 / 256


def test_copies_of_growing_order_ids_grow_and_stay_before_those_of_a_measurement() -> None:
    growing = [order.order_id for order in make_orders(3, 0, growing=True)]
    played = {
        "orders": Rows(
            ["order_id", "order_number", "created_at"],
            [[name, str(number), "2026-11-30 21:27:21+00"] for number, name in enumerate(growing)],
        ),
        "event": rows(id="17", body=rf"\\x{growing[2].encode().hex()}", order_number="2"),
        "dead_letter": Rows(["id"], []),
    }
    orders, event = templates_of(played)
    ids = [line.split("\t")[0] for number in range(3) for line in orders.copy(Copy(number, 9)).splitlines()]
    later = next(make_orders(1, 1, growing=True)).order_id
    assert [*ids, later] == sorted({*ids, later})
    body = event.copy(Copy(2, 9)).split("\t")[1].removeprefix(r"\\x")
    assert bytes.fromhex(body).decode() == ids[-1]


def test_a_commands_memory_is_its_own_and_not_that_of_who_measures(tmp_path: Path) -> None:
    ballast = bytearray(b"x") * 300_000_000
    cost = measure(("--help",), {}, tmp_path, lambda: 0.0)
    assert (cost.command, cost.exit_code, len(ballast)) == ("--help", 0, 300_000_000)
    assert 5 < cost.rss_mb < 200
    assert cost.client_s > 0


def test_a_goal_counts_the_command_and_postgresql_together() -> None:
    costs = [Cost("audit", 0, 10.0, 49.0, 90.0), Cost("audit", 0, 1.0, 1.0, 201.0), Cost("dlq list", 0, 0.3, 0.2, 50.0)]
    told = [line.split(" | ")[3].split(": ")[1] for line in table(costs).splitlines()[2:]]
    assert told == ["reached", "not reached", "not reached"]


@pytest.mark.integration
def test_what_a_migrated_database_holds_already_is_not_copied(database_url: str) -> None:
    upgrade(database_url)
    with psycopg.connect(libpq_url(database_url)) as connection:
        filled = {
            name
            for name in metadata.tables
            if connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(name))).fetchone() is not None
        }
    assert filled <= NOT_KEPT
    assert filled, "the migrations have noted themselves"


@pytest.fixture(scope="module")
def superuser() -> Iterator[psycopg.Connection[Any]]:
    with temporary_servers(progress=lambda _: None, fast=True, prefix="payments-history-test-") as servers:
        servers.own()
        servers.postgres.start()
        conninfo = superuser_of(servers.data_dir, servers.database_url, None).conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield connection


@pytest.mark.integration
def test_indexes_that_were_built_late_are_as_they_would_have_been(superuser: psycopg.Connection[Any]) -> None:
    superuser.execute("CREATE TABLE many (event_id text PRIMARY KEY, n int) PARTITION BY HASH (event_id)")
    for part in range(2):
        superuser.execute(f"CREATE TABLE many_{part} PARTITION OF many FOR VALUES WITH (MODULUS 2, REMAINDER {part})")
    superuser.execute("CREATE INDEX many_0_n ON many_0 (n)")
    kept = definitions(superuser)
    with without_autovacuum(superuser), built_late(superuser, ["many"], ["event_id"], lambda _: None):
        superuser.execute("INSERT INTO many SELECT md5(i::text), i FROM generate_series(1, 20000) i")
        assert superuser.execute("SELECT pg_relation_size('many_0_n')").fetchone() == (8192,)
    superuser.execute("SET enable_seqscan = off")
    superuser.execute("ANALYZE many")
    assert superuser.execute("SELECT n FROM many WHERE event_id = md5('77')").fetchone() == (77,)
    with pytest.raises(psycopg.errors.UniqueViolation):
        superuser.execute("INSERT INTO many VALUES (md5('77'), 1)")
    assert definitions(superuser) == kept
    assert superuser.execute("SHOW autovacuum").fetchone() == ("on",)
    pages = superuser.execute("SELECT pg_relation_size('many_0_pkey') / 8192 FROM many_0 LIMIT 1").fetchone()
    assert pages is not None
    full = superuser.execute("SELECT count(*) * 48.0 / 8192 FROM many_0").fetchone()
    assert full is not None
    assert float(full[0]) / pages[0] < (RANDOM_FILLED + 10) / 100
    superuser.execute("DROP TABLE many")


def definitions(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(
        "SELECT c.relname, pg_get_indexdef(c.oid), i.indisvalid, i.indisready, c.reloptions FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'many%' ORDER BY 1"
    ).fetchall()
