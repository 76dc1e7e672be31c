"""A copy of a played order is an order of its own: its ids, numbers and times differ, and its bodies say the same."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from outbox.schema.tables import metadata
from schemas.codec import Codec
from schemas.events import PaymentAuthorized
from tests.bench.history.__main__ import table
from tests.bench.history.commands import Cost, measure
from tests.bench.history.played import NOT_KEPT, SEED, Rows
from tests.bench.history.template import Copy, templates_of
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
        "event_id": f"{EVENT.event_id}"[:-8] + "00000003",
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
        "event_id": UUID(f"{EVENT.event_id}"[:-8] + "00000003"),
        "correlation_id": f"{EVENT.correlation_id}"[:-8] + "00000003",
        "causation_id": UUID(f"{EVENT.causation_id}"[:-8] + "00000003"),
        "occurred_at": AT + later,
        "transaction_id": "pi_3m00000003ioii248",
    }
    changed = {name: value for name, value in read.model_dump().items() if value != EVENT.model_dump()[name]}
    assert changed == expected


def test_a_copys_dead_letter_has_an_offset_of_its_own_and_keeps_what_is_null() -> None:
    key = f"demo-{SEED + 3}-00001".encode().hex()
    assert copied("dead_letter") == {"id": "4", "message_offset": "3012", "key": rf"\\x{key}", "erased_at": r"\N"}


def test_the_inbox_has_a_copys_events_on_their_day() -> None:
    tomorrow = copied("inbox", Copy(1, 3 * 3_600))
    assert tomorrow == {"day": "2026-12-01", "event_id": f"{EVENT.event_id}"[:-8] + "00000001", "content": "-7"}


def test_the_original_is_the_copy_without_shift_but_for_its_tag() -> None:
    found = bytes.fromhex(copied("event", Copy(0, 0))["body"].removeprefix(r"\\x"))
    assert len(found) == len(CODEC.encode(EVENT))


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
