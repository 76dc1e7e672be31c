"""Each SQL file of deploy/kits/sql answers with the figures of a fixed script, from Parquet and from JSON lines."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import deploy
from schemas import events
from schemas.events import Event
from tests.replaying.building import encoded, put, stretches
from tests.schemas import builders as b

SQL = Path(deploy.__file__).parent / "kits" / "sql"
DAY = b.AT.date()
NEXT = DAY + timedelta(days=1)


def at(seconds: float) -> dict[str, Any]:
    return {"occurred_at": b.AT + timedelta(seconds=seconds)}


def paid(order_id: str, amount_minor: int, currency: str = "EUR", begin_s: float = 0) -> list[Event]:
    """Build an order that is authorized after 1 s, reserved 2 s later, and paid 3 s after that."""
    of = {"order_id": order_id}
    money = {"amount_minor": amount_minor, "currency": currency}
    return [
        b.order_confirmed(**of, **at(begin_s)),
        b.payment_authorized(**of, **money, **at(begin_s + 1), order_version=2),
        b.items_reserved(**of, **at(begin_s + 3), order_version=3),
        b.paid_and_confirmed(**of, **money, **at(begin_s + 6), order_version=4),
    ]


def failed(order_id: str, code: str, attempt: int, at_s: float, stage: events.Stage) -> Event:
    return b.payment_failed(
        order_id=order_id,
        failure_code=code,
        attempt=attempt,
        stage=stage,
        order_version=2 * attempt,
        event_id=b.event_id(f"failure {attempt} of {order_id}"),
        **at(at_s),
    )


def refund(order_id: str, amount_minor: int, at_s: float, request_id: str | None) -> Event:
    return b.payment_refunded(
        order_id=order_id, amount_minor=amount_minor, request_id=request_id, order_version=5, **at(at_s)
    )


def dispute(order_id: str, dispute_id: str, version: int, *, withdrawn: bool) -> Event:
    return b.payment_disputed(
        order_id=order_id,
        dispute_id=dispute_id,
        order_version=version,
        funds_withdrawn=withdrawn,
        amount_minor=1_000,
        event_id=b.event_id(f"{dispute_id} {version}"),
    )


def script() -> list[Event]:
    """Three paid orders (one in dollars, one after a decline), two that failed, refunds and disputes."""
    retried = paid("retried", 3_000)
    return [
        *paid("plain", 2_000),
        *paid("dollars", 500, "USD", begin_s=86_400),
        *retried[:1],
        failed("retried", "card_declined", 1, 0.5, events.Stage.AUTHORIZE),
        *(event.model_copy(update={"order_version": n + 10}) for n, event in enumerate(retried[1:])),
        b.order_confirmed(order_id="declined", **at(0)),
        failed("declined", "card_declined", 1, 4, events.Stage.AUTHORIZE),
        b.order_confirmed(order_id="short", **at(0)),
        b.payment_authorized(order_id="short", **at(2), order_version=2),
        failed("short", "out_of_stock", 2, 10, events.Stage.RESERVE),
        refund("plain", 700, 86_400, "R-1"),
        refund("retried", 3_000, 86_400, "R-2"),
        b.payment_refund_failed(order_id="retried", amount_minor=3_000, order_version=6, **at(86_500)),
        refund("short", 900, 20, None),
        b.refund_refused(order_id="declined", reason=events.RefundRefusal.NOT_PAID),
        dispute("plain", "dp_1", 7, withdrawn=False),
        dispute("plain", "dp_1", 8, withdrawn=True),
        dispute("dollars", "dp_2", 7, withdrawn=True),
        b.payment_dispute_closed(
            order_id="dollars",
            dispute_id="dp_2",
            order_version=9,
            amount_minor=1_000,
            funds_withdrawn=False,
            outcome=events.DisputeOutcome.WON,
        ),
    ]


ANSWERS: dict[str, list[tuple[object, ...]]] = {
    "revenue": [
        (DAY, "EUR", 2, 5_000, 0, 5_000),
        (NEXT, "EUR", 0, 0, 700, -700),
        (NEXT, "USD", 1, 500, 0, 500),
    ],
    "funnel": [("confirmed", 5, 100.0), ("authorized", 4, 80.0), ("reserved", 3, 60.0), ("paid", 3, 60.0)],
    "failure_reasons": [("AUTHORIZE", "card_declined", 2, 2, 1), ("RESERVE", "out_of_stock", 1, 1, 0)],
    "time_in_states": [
        ("confirmed", 5, 1.0, 3.6, 4.0),
        ("items_reserved", 3, 3.0, 3.0, 3.0),
        ("payment_authorized", 4, 2.0, 7.1, 8.0),
        ("payment_failed", 1, 0.5, 0.5, 0.5),
    ],
    "refunds": [
        ("failed later: declined", "EUR", 1, 3_000),
        ("refunded by itself", "EUR", 1, 900),
        ("refunded on request", "EUR", 2, 3_700),
        ("refused: NOT_PAID", None, 1, None),
    ],
    "disputes": [("OPEN", "EUR", 1, 1_000, 1_000), ("WON", "EUR", 1, 1_000, 0)],
}


@pytest.fixture(scope="module", params=["parquet", "jsonl"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Give a connection with the views of the script's events."""
    out = tmp_path_factory.mktemp("data")
    put(out, request.param, *stretches(encoded(script())))
    connection = duckdb.connect()
    connection.execute((out / "views.sql").read_text())
    return connection


def test_every_file_has_figures_here() -> None:
    assert sorted(path.stem for path in SQL.glob("*.sql")) == sorted(ANSWERS)


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_is_answered_with_the_figures_of_the_script(asked: duckdb.DuckDBPyConnection, question: str) -> None:
    rows = asked.execute((SQL / f"{question}.sql").read_text()).fetchall()
    assert [tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in rows] == ANSWERS[question]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_views_find_a_folder_whose_name_has_signs_of_patterns_and_leave_others_files_out(
    tmp_path: Path, form: str
) -> None:
    out = tmp_path / "o'd [x]*?"
    put(out, form, *stretches(encoded(script())))
    for day in out.glob("topic=OrderConfirmed/day=*"):
        (day / f"._0-0-1.{form}").write_bytes(b"what a copying program left")
    connection = duckdb.connect()
    connection.execute((out / "views.sql").read_text())
    assert connection.execute("SELECT count(*) FROM OrderConfirmed").fetchall() == [(5,)]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_views_that_were_stored_find_files_that_were_moved_when_a_session_says_where(tmp_path: Path, form: str) -> None:
    here, there, stored = tmp_path / "here", tmp_path / "there", str(tmp_path / "stored.duckdb")
    put(here, form, *stretches(encoded(script())))
    with duckdb.connect(stored) as first:
        first.execute((here / "views.sql").read_text())
    with duckdb.connect(stored) as second:
        assert second.execute("SELECT count(*) FROM OrderConfirmed").fetchall() == [(5,)]
    here.rename(there)
    with duckdb.connect(stored) as third:
        third.execute(f"SET VARIABLE replay = '{there}'")
        assert third.execute("SELECT count(*) FROM OrderConfirmed").fetchall() == [(5,)]


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_to_a_folder_without_events_has_no_rows_and_no_error(tmp_path: Path, question: str) -> None:
    put(tmp_path, "parquet")
    connection = duckdb.connect()
    connection.execute((tmp_path / "views.sql").read_text())
    assert connection.execute((SQL / f"{question}.sql").read_text()).fetchall() == []


def test_a_view_has_the_day_of_each_event_as_a_date(asked: duckdb.DuckDBPyConnection) -> None:
    rows = asked.execute("SELECT DISTINCT day FROM OrderConfirmed ORDER BY day").fetchall()
    assert rows == [(DAY,), (NEXT,)]
    assert isinstance(rows[0][0], date)
