"""`payments schemas`, the codec and an order before Apicurio's real server; schemas/README.md has the same table."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from deploy.running import now
from schemas.codec import Codec
from schemas.confluent import ConfluentRegistry, connect
from schemas.models import EVENTS
from schemas.registering import Registrar
from schemas.rejection import Reason, Rejected
from schemas.releases import without_docs
from schemas.shapes import load
from tests.deploy.commands import payments
from tests.deploy.orders import status_of
from tests.embedded.support import connected
from tests.processes import started
from tests.schemas import wire
from tests.schemas.builders import one_of_each, order_confirmed

pytestmark = [pytest.mark.neighbours, pytest.mark.timeout(600)]

HEAD_END: Final = 10
KEY: Final = b"order-1"


OPEN: Final[list[SchemaRegistryClient]] = []


@pytest.fixture(autouse=True)
def clients_are_closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def client_of(url: str) -> SchemaRegistryClient:
    """Connect anew, as another process does: clients remember answers."""
    client = connect(url)
    OPEN.append(client)
    return client


def registry_of(url: str) -> ConfluentRegistry:
    return ConfluentRegistry(client_of(url))


def registrar(url: str, prefix: str) -> Registrar:
    return Registrar(client_of(url), prefix)


def subject(prefix: str) -> str:
    return f"{prefix}OrderConfirmed-value"


def put(url: str, prefix: str, schema: dict[str, Any]) -> int:
    """Register a schema as somebody else does, without our rules."""
    return int(client_of(url).register_schema(subject(prefix), Schema(json.dumps(schema), "AVRO")))


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(field for field in schema["fields"] if field["name"] == name)
    return found


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    schema = load("OrderConfirmed")
    change(schema)
    return schema


def without_default(schema: dict[str, Any]) -> None:
    del field(schema, "payment_method")["type"][1]["fields"][0]["type"]["default"]


UUID_DROPPED: Final = changed(lambda schema: field(schema, "event_id").update(type="string"))
MILLIS: Final = changed(lambda schema: field(schema, "occurred_at")["type"].update(logicalType="timestamp-millis"))
BREAKING: Final = {
    "micros to millis": (MILLIS, "occurred_at: the meaning changes from timestamp-millis to timestamp-micros"),
    "micros dropped": (
        changed(lambda schema: field(schema, "occurred_at").update(type="long")),
        "occurred_at: the meaning changes from no logical type to timestamp-micros",
    ),
    "another namespace": (changed(lambda schema: schema.update(namespace="shop")), "the record: shop.OrderConfirmed"),
    "text to bytes": (
        changed(lambda schema: field(schema, "customer_id").update(type="bytes")),
        "customer_id: bytes cannot be read as string",
    ),
}


def test_every_schema_is_registered_checked_and_read_back_by_the_commands(tmp_path: Path, apicurio: str) -> None:
    there = {"PAYMENTS_SCHEMA_REGISTRY_URL": apicurio, "PAYMENTS_TOPIC_PREFIX": "commands."}

    first = payments(tmp_path, "schemas", "register", "--json", **there)
    again = payments(tmp_path, "schemas", "register", "--json", **there)
    check = payments(tmp_path, "schemas", "check", "--json", **there)

    assert (first.code, again.code, check.code) == (0, 0, 0), first.err + again.err + check.err
    assert [row["did"] for row in json.loads(first.out)["schemas"]] == ["registered"] * len(EVENTS)
    assert [row["did"] for row in json.loads(again.out)["schemas"]] == ["there already"] * len(EVENTS)
    assert json.loads(check.out) == {"compatible": True, "problems": [], "not_registered": []}
    registry = registry_of(apicurio)
    for row in json.loads(first.out)["schemas"]:
        assert without_docs(registry.schema_of(row["subject"], row["id"])) == without_docs(load(row["event"]))


def test_every_event_is_written_with_its_id_and_read_in_both_framings(apicurio: str) -> None:
    done = registrar(apicurio, "both.").register(*EVENTS)
    ids = {one.event_type: one.schema_id for one in done}
    with_registry = Codec(registry=registry_of(apicurio), prefix="both.")
    for event in one_of_each():
        framed, single = with_registry.encode(event), Codec().encode(event)
        assert framed[:5] == b"\x00" + (ids[event.TYPE] or 0).to_bytes(4, "big")
        assert framed[5:] == single[HEAD_END:]
        for value in (framed, single):
            assert with_registry.read(event.TYPE, event.subject.encode(), value) == event


@pytest.mark.parametrize("how", BREAKING)
def test_what_apicurio_takes_of_others_though_it_breaks_us_is_told_refused_and_leaves_ours_alone(
    apicurio: str, how: str
) -> None:
    schema, words = BREAKING[how]
    prefix = f"breaking-{how.replace(' ', '-')}."
    (ours,) = registrar(apicurio, prefix).register("OrderConfirmed")
    theirs = put(apicurio, prefix, schema)
    codec = Codec(registry=registry_of(apicurio), prefix=prefix)

    for found in (
        *registrar(apicurio, prefix).compare("OrderConfirmed"),
        *registrar(apicurio, prefix).register("OrderConfirmed"),
    ):
        assert found.schema_id == ours.schema_id
        assert any(f"version 2 there: new readers: {words}" in problem for problem in found.problems), found.problems
    with pytest.raises(Rejected) as refused:
        codec.decode("OrderConfirmed", KEY, wire.confluent(theirs, wire.order()))
    assert (refused.value.reason, words in refused.value.detail) == (Reason.UNKNOWN_SCHEMA, True), refused.value.detail
    assert codec.decode("OrderConfirmed", KEY, codec.encode(order_confirmed())) == order_confirmed()


@pytest.mark.parametrize("how", BREAKING)
def test_what_breaks_others_is_refused_before_apicurio_is_asked_to_take_it(apicurio: str, how: str) -> None:
    schema, _ = BREAKING[how]
    prefix = f"refused-{how.replace(' ', '-')}."
    registrar(apicurio, prefix).register("OrderConfirmed")

    (refused,) = Registrar(client_of(apicurio), prefix, ours=lambda _: schema).register("OrderConfirmed")

    assert refused.did == "refused"
    assert list(client_of(apicurio).get_versions(subject(prefix))) == [1]
    assert put(apicurio, prefix, schema) > 0, "Apicurio itself would have taken it"


def test_a_version_that_lacks_only_a_uuid_is_read_and_is_no_problem(apicurio: str) -> None:
    registrar(apicurio, "uuid.").register("OrderConfirmed")
    theirs = put(apicurio, "uuid.", UUID_DROPPED)
    codec = Codec(registry=registry_of(apicurio), prefix="uuid.")

    assert codec.decode("OrderConfirmed", KEY, wire.confluent(theirs, wire.order())) == order_confirmed()
    assert [(one.did, one.problems) for one in registrar(apicurio, "uuid.").register("OrderConfirmed")] == [
        ("there already", ())
    ]


def test_an_older_version_without_an_enums_default_is_found_before_ours_is_lost_and_can_be_deleted(
    apicurio: str,
) -> None:
    client, name = client_of(apicurio), subject("trap.")
    put(apicurio, "trap.", changed(without_default))

    (refused,) = registrar(apicurio, "trap.").register("OrderConfirmed")

    assert refused.did == "refused"
    assert "it differs at OrderConfirmed.payment_method" in refused.problems[0]
    assert "delete that version for good" in refused.problems[0]
    client.delete_version(name, 1)
    client.delete_version(name, 1, permanent=True)
    assert [(one.did, one.problems) for one in registrar(apicurio, "trap.").register("OrderConfirmed")] == [
        ("registered", ())
    ]


def test_a_version_without_an_enums_default_that_comes_after_ours_changes_nothing(apicurio: str) -> None:
    (ours,) = registrar(apicurio, "late.").register("OrderConfirmed")
    assert put(apicurio, "late.", changed(without_default)) == ours.schema_id
    assert registrar(apicurio, "late.").compare("OrderConfirmed")[0].problems == ()


@pytest.mark.integration
def test_an_order_with_an_id_of_ours_or_of_a_harmless_version_is_paid_and_one_in_millis_is_a_dead_letter_with_an_alarm(
    tmp_path: Path, apicurio: str, deployment: dict[str, str]
) -> None:
    there = {**deployment, "PAYMENTS_SCHEMA_REGISTRY_URL": apicurio}
    prefix = deployment["PAYMENTS_TOPIC_PREFIX"]
    assert payments(tmp_path, "schemas", "register", **there).code == 0
    ours = registry_of(apicurio).id_of(subject(prefix), load("OrderConfirmed"))
    harmless, millis = put(apicurio, prefix, UUID_DROPPED), put(apicurio, prefix, MILLIS)
    for sku in ("SKU-1", "SKU-2"):
        payments(tmp_path, "stock", "set", sku, "9", **there)
    lines = ""
    for schema_id, order_id in ((ours, "ours"), (harmless, "harmless"), (millis, "millis")):
        body = Codec().encode(order_confirmed(order_id=order_id, occurred_at=now()))[HEAD_END:]
        framed = wire.confluent(schema_id, body).hex()
        lines += json.dumps({"type": "OrderConfirmed", "key": order_id, "raw_hex": framed}) + "\n"

    with started(tmp_path, "up", **there) as up, connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        up.await_line("running")
        assert payments(tmp_path, "publish", "--unchecked", "-", stdin=lines, **there).code == 0

        for order_id in ("ours", "harmless"):
            up.eventually(lambda of=order_id: status_of(there, of) == "paid_and_confirmed", f"{order_id} is paid")  # type: ignore[misc]
        letters = "SELECT reason, detail FROM dead_letter"
        up.eventually(lambda: connection.execute(letters).fetchall(), "a dead letter")
        ((reason, detail),) = connection.execute(letters).fetchall()
        assert reason == "unknown_schema"
        assert f"Schema id {millis} cannot be read by this release: occurred_at: the meaning changes" in detail
        up.await_line("unknown_schema")
        assert status_of(there, "millis") is None
        assert up.stop() == 0
