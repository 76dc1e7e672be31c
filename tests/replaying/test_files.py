"""What files hold: values as three libraries read them, each event once, nothing secret, and what is no event apart."""

import base64
import json
import sys
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from fastavro import schemaless_writer

from deploy.failures import Failure
from deploy.replay.columns import COLUMNS, EVENT_ID, Kind
from deploy.replay.dictionary import dictionary, dictionary_json
from deploy.replay.formats import format_of
from deploy.replay.manifest import Window, load
from schemas.codec import Codec
from schemas.framing import SINGLE_OBJECT
from schemas.releases import releases
from schemas.shapes import shape_of
from tests.replaying.building import TIMESTAMP_MS, encoded, put, put_chunks, stretches
from tests.schemas import builders as b

FORMATS = pytest.mark.parametrize("form", ["parquet", "jsonl"])
ORDER = b.order_confirmed()
TOKEN = b._METHOD.token


def files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.glob("topic=*/day=*/*"))


def rows(out: Path, form: str, event_type: str) -> list[dict[str, Any]]:
    """Read all files of an event, with the views that stand beside them."""
    connection = duckdb.connect()
    connection.execute((out / "views.sql").read_text())
    found = connection.execute(f"SELECT * FROM {event_type} ORDER BY kafka_partition, kafka_offset")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def rejected(out: Path) -> list[dict[str, Any]]:
    path = out / "rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_pyarrow_duckdb_and_polars_read_the_same_values_of_every_event(tmp_path: Path) -> None:
    events = b.one_of_each()
    put(tmp_path, "parquet", *stretches(encoded(events)))
    assert len(files(tmp_path)) == len(COLUMNS)
    for event in events:
        (path,) = tmp_path.glob(f"topic={event.TYPE}/day=*/*.parquet")
        (of_arrow,) = pq.read_table(path, partitioning=None).to_pylist()
        (of_polars,) = pl.read_parquet(path, hive_partitioning=False).to_dicts()
        (of_duckdb,) = rows(tmp_path, "parquet", event.TYPE)
        del of_duckdb["day"]
        assert of_arrow == of_polars == of_duckdb
        expected = event.model_dump(mode="python")
        for name, value in of_arrow.items():
            if name in expected and name != "payment_method":
                assert _plain(value) == _plain(expected[name]), name


def _plain(value: Any) -> Any:
    """Compare ids as text, and tuples as lists."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, int | float | type(None)) or hasattr(value, "tzinfo") else str(value)


def test_parquet_has_text_ids_times_with_zone_and_whole_minor_units(tmp_path: Path) -> None:
    put(tmp_path, "parquet", *stretches(encoded([ORDER])))
    connection = duckdb.connect()
    connection.execute((tmp_path / "views.sql").read_text())
    of_duckdb = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE OrderConfirmed)").fetchall())
    assert of_duckdb["event_id"] == "VARCHAR"
    assert of_duckdb["occurred_at"] == "TIMESTAMP WITH TIME ZONE"
    assert of_duckdb["total_minor"] == "BIGINT"
    assert of_duckdb["lines"] == "STRUCT(sku VARCHAR, quantity BIGINT, unit_price_minor BIGINT)[]"
    (path,) = tmp_path.glob("topic=*/day=*/*.parquet")
    of_polars = pl.read_parquet_schema(path)
    assert of_polars["event_id"] == pl.String
    assert of_polars["occurred_at"] == pl.Datetime("us", "UTC")
    assert of_polars["total_minor"] == pl.Int64


@FORMATS
def test_payment_tokens_stand_in_no_file(tmp_path: Path, form: str) -> None:
    saved = b.order_confirmed(order_id="2", payment_method={**b._METHOD.model_dump(), "gateway_customer_id": "cus_1"})
    other = b.order_confirmed(discount_minor=0)
    bad = b"\xc3\x01garbage " + TOKEN.encode() + b" 4242424242424242"
    messages = [*encoded([ORDER, b.payment_retry_requested(), saved, other]), ("OrderConfirmed", bad)]
    put(tmp_path, form, *stretches(messages))
    for row in rows(tmp_path, form, "OrderConfirmed") + rows(tmp_path, form, "PaymentRetryRequested"):
        assert row["payment_method"]["token"] == "*" * 16
    conflict, undecodable = sorted(rejected(tmp_path), key=lambda line: str(line["reason"]))
    assert conflict["event"]["payment_method"]["token"] == "*" * 16
    shown = base64.b64decode(undecodable["value_base64"])
    assert len(shown) == len(bad)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or not {TOKEN, "cus_1", "4242424242424242"} & set(_words(path)), path


def _words(path: Path) -> list[str]:
    found = path.read_bytes() if path.suffix != ".parquet" else str(pq.read_table(path).to_pylist()).encode()
    return [word for word in (TOKEN, "cus_1", "4242424242424242") if word.encode() in found]


@FORMATS
def test_an_event_is_in_the_files_once_whenever_and_wherever_it_is_repeated(tmp_path: Path, form: str) -> None:
    first, second, third = (b.order_confirmed(order_id=f"o-{n}") for n in range(3))
    put(tmp_path, form, *stretches(encoded([first, first, second])))
    put(tmp_path, form, *stretches(encoded([second, third, first]), begin=3))
    (elsewhere,) = stretches(encoded([third, first]))
    put(tmp_path, form, elsewhere._replace(partition=1))
    assert [row["order_id"] for row in rows(tmp_path, form, "OrderConfirmed")] == ["o-0", "o-1", "o-2"]
    counts = load(tmp_path / "manifest.json").topics["OrderConfirmed"].counts
    assert (counts.events, counts.repeated, counts.rejected) == (3, 5, 0)
    day = ORDER.occurred_at.date().isoformat()
    assert files(tmp_path) == [
        f"topic=OrderConfirmed/day={day}/0-0-2.{form}",
        f"topic=OrderConfirmed/day={day}/0-3-5.{form}",
    ]


@FORMATS
@pytest.mark.parametrize("later", [False, True], ids=["in one run", "in two runs"])
def test_other_bytes_under_one_id_are_rejected(tmp_path: Path, form: str, *, later: bool) -> None:
    other = b.order_confirmed(discount_minor=0)
    if later:
        put(tmp_path, form, *stretches(encoded([ORDER])))
        put(tmp_path, form, *stretches(encoded([other]), begin=1))
    else:
        put(tmp_path, form, *stretches(encoded([ORDER, other])))
    assert [row["total_minor"] for row in rows(tmp_path, form, "OrderConfirmed")] == [ORDER.total_minor]
    (line,) = rejected(tmp_path)
    assert (line["topic"], line["partition"], line["offset"], line["reason"]) == ("OrderConfirmed", 0, 1, "conflict")
    assert line["event"]["total_minor"] == other.total_minor
    assert line["event"]["occurred_at"] == "2026-03-01T12:00:00.123456Z"


@FORMATS
def test_of_other_bytes_under_one_id_the_first_ones_stay_in_all_chunks_of_a_run(tmp_path: Path, form: str) -> None:
    other = b.order_confirmed(discount_minor=0)
    sent = [ORDER, other, ORDER, other]
    put_chunks(tmp_path, form, *(stretches(encoded([event]), begin=n) for n, event in enumerate(sent)))
    assert [row["total_minor"] for row in rows(tmp_path, form, "OrderConfirmed")] == [ORDER.total_minor]
    assert [line["offset"] for line in rejected(tmp_path)] == [1, 3]
    counts = load(tmp_path / "manifest.json").topics["OrderConfirmed"].counts
    assert (counts.events, counts.repeated, counts.rejected) == (1, 1, 2)


@FORMATS
def test_an_event_that_comes_late_lands_in_its_day(tmp_path: Path, form: str) -> None:
    late = b.order_confirmed(order_id="late", occurred_at=b.AT - timedelta(days=40))
    put(tmp_path, form, *stretches(encoded([ORDER])))
    put(tmp_path, form, *stretches(encoded([late]), begin=1))
    assert files(tmp_path) == [
        f"topic=OrderConfirmed/day=2026-01-20/0-1-1.{form}",
        f"topic=OrderConfirmed/day=2026-03-01/0-0-0.{form}",
    ]
    assert [row["day"] for row in rows(tmp_path, form, "OrderConfirmed")] == [date(2026, 3, 1), date(2026, 1, 20)]


@FORMATS
def test_the_last_microsecond_of_a_day_belongs_to_it(tmp_path: Path, form: str) -> None:
    midnight = b.AT.replace(hour=0, minute=0, second=0, microsecond=0)
    before = b.order_confirmed(order_id="before", occurred_at=midnight - timedelta(microseconds=1))
    put(tmp_path, form, *stretches(encoded([before, b.order_confirmed(order_id="at", occurred_at=midnight)])))
    found = {row["order_id"]: row["day"] for row in rows(tmp_path, form, "OrderConfirmed")}
    assert found == {"before": date(2026, 2, 28), "at": date(2026, 3, 1)}


@FORMATS
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"", "undecodable"),
        (b"not Avro", "undecodable"),
        (Codec().encode(ORDER) + b"\0", "not_canonical"),
        (Codec().encode(ORDER)[:-3], "undecodable"),
        (SINGLE_OBJECT + bytes(8) + b"x", "unknown_schema"),
        (Codec().encode(b.payment_voided()), "wrong_schema"),
        (Codec().encode(ORDER).replace(str(ORDER.event_id).encode(), b"x" * 36), "invalid_field"),
    ],
    ids=["none", "empty", "text", "bytes left over", "cut off", "unknown", "another event", "no UUID"],
)
def test_what_is_no_event_is_rejected_with_its_reason(
    tmp_path: Path, form: str, value: bytes | None, reason: str
) -> None:
    put(tmp_path, form, *stretches([("OrderConfirmed", value), *encoded([ORDER])]))
    (line,) = rejected(tmp_path)
    assert (line["offset"], line["reason"]) == (0, reason)
    assert line.get("value_bytes") == (None if value is None else len(value))
    assert [row["kafka_offset"] for row in rows(tmp_path, form, "OrderConfirmed")] == [1]


@FORMATS
def test_an_event_of_an_older_release_is_read_and_newer_columns_are_null(tmp_path: Path, form: str) -> None:
    (old,) = (r for r in releases() if r.event_type == "PaymentRefunded" and r.release == "0.1.0")
    shape = shape_of(old.schema)
    event = b.payment_refunded()
    wire = event.model_dump(mode="json") | {"occurred_at": 1_772_366_400_123_456}
    body = BytesIO()
    schemaless_writer(body, shape.wire, {n: wire[n] for n in (f["name"] for f in old.schema["fields"])})
    put(tmp_path, form, *stretches([("PaymentRefunded", SINGLE_OBJECT + shape.fingerprint + body.getvalue())]))
    (row,) = rows(tmp_path, form, "PaymentRefunded")
    assert (row["event_id"], row["occurred_at"], row["request_id"]) == (str(event.event_id), event.occurred_at, None)


@FORMATS
def test_an_older_order_has_null_and_not_the_default_where_its_schema_had_no_field(tmp_path: Path, form: str) -> None:
    (old,) = (r for r in releases() if r.event_type == "OrderConfirmed" and r.release == "0.1.0")
    shape = shape_of(old.schema)
    wire = ORDER.model_dump(mode="json") | {"occurred_at": 1_772_366_400_123_456}
    body = BytesIO()
    schemaless_writer(body, shape.wire, wire)
    put(tmp_path, form, *stretches([("OrderConfirmed", SINGLE_OBJECT + shape.fingerprint + body.getvalue())]))
    (row,) = rows(tmp_path, form, "OrderConfirmed")
    assert row["payment_method"]["off_session"] is None
    assert row["payment_method"]["kind"] == "CARD"
    assert row["tax_minor"] == ORDER.tax_minor
    assert row["lines"] == [line.model_dump() for line in ORDER.lines]


@FORMATS
def test_a_window_takes_its_first_millisecond_and_not_its_last(tmp_path: Path, form: str) -> None:
    orders = [b.order_confirmed(order_id=f"o-{n}") for n in range(5)]
    window = Window(TIMESTAMP_MS + 1, TIMESTAMP_MS + 3)
    put(tmp_path, form, *stretches(encoded(orders)), window=window)
    assert [row["order_id"] for row in rows(tmp_path, form, "OrderConfirmed")] == ["o-1", "o-2"]


@pytest.mark.parametrize("missing", ["numpy", "pyarrow"])
def test_without_the_libraries_of_parquet_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in ("parquet", "columnar", "cursor", "uuids", "arrow", "known_ids"):
        monkeypatch.delitem(sys.modules, f"deploy.replay.{name}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(Failure, match=rf"Parquet needs {missing}, .*pip install 'payments\[replay\]'.*jsonl"):
        format_of("parquet")
    assert format_of("jsonl").suffix == "jsonl"


def test_the_dictionary_explains_every_column_of_every_topic() -> None:
    document, text = dictionary_json(), dictionary("parquet")
    assert [topic["topic"] for topic in document["topics"]] == list(COLUMNS)
    for topic in document["topics"]:
        assert topic["meaning"]
        named = {column["column"] for column in topic["columns"]}
        assert named >= {column.name for column in COLUMNS[topic["topic"]]}
        for column in topic["columns"]:
            assert column["meaning"], column
            assert f"| `{column['column']}` | {column['type']}" in text
    money = [c for t in document["topics"] for c in t["columns"] if c["column"].endswith("_minor")]
    assert {column["unit"] for column in money} == {"minor units of the currency"}


def test_columns_are_what_the_files_count_on() -> None:
    for columns in COLUMNS.values():
        assert columns[0].name == EVENT_ID, "JSON lines are searched by it"
        for column in columns:
            kinds = {(part.kind, part.uuid) for part in column.parts}
            assert kinds <= {(Kind.TEXT, False), (Kind.WHOLE, False), (Kind.FLAG, False)}, "parts are not converted"
