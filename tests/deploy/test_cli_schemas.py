"""`payments schemas`, and what roles do with a registry that is empty, lags behind or dies."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.running import now
from schemas.codec import Codec
from schemas.models import EVENTS
from schemas.shapes import SHAPES, load
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, retried, status_of
from tests.embedded.support import connected
from tests.processes import started
from tests.schemas import wire
from tests.schemas.builders import order_confirmed
from tests.schemas.registry_server import Answer, RegistryServer, registry_server

BODY_AT = 10
"""Behind the head of a single object."""


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with registry_server() as registry:
        yield registry


@pytest.fixture
def registered(registry: RegistryServer, deployment: dict[str, str]) -> dict[str, str]:
    """Give a deployment whose registry has our schemas."""
    for event_type in EVENTS:
        registry.add(f"{deployment['PAYMENTS_TOPIC_PREFIX']}{event_type}-value", load(event_type))
    return {**deployment, "PAYMENTS_SCHEMA_REGISTRY_URL": registry.url}


def test_list_shows_each_event_with_its_fingerprint_and_release(tmp_path: Path) -> None:
    ran = payments(tmp_path, "schemas", "list")
    assert (ran.code, ran.err, len(ran.out.splitlines())) == (0, "", len(EVENTS))
    assert any(line.split() == ["ItemsReserved", "267831b05bb27953", "0.1.0"] for line in ran.out.splitlines())

    rows = json.loads(payments(tmp_path, "schemas", "list", "--json", PAYMENTS_TOPIC_PREFIX="shop.").out)["schemas"]
    assert {row["event"]: row["fingerprint"] for row in rows} == {
        event_type: shape.fingerprint.hex() for event_type, shape in SHAPES.items()
    }
    assert rows[0]["subject"] == f"shop.{rows[0]['event']}-value"


def test_check_holds_schemas_to_every_release_and_to_the_registry(tmp_path: Path, registry: RegistryServer) -> None:
    ran = payments(tmp_path, "schemas", "check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{len(EVENTS)} schemas of 0.2.0: 0 problems with release 0.1.0\n"

    there = {"PAYMENTS_SCHEMA_REGISTRY_URL": registry.url}
    empty = payments(tmp_path, "schemas", "check", **there)
    assert empty.code == 0
    assert "`payments schemas register` puts them there" in empty.err

    renamed = load("OrderConfirmed")
    next(field for field in renamed["fields"] if field["name"] == "total_minor")["name"] = "total"
    registry.add("OrderConfirmed-value", renamed)
    wrong = payments(tmp_path, "schemas", "check", "--json", **there)
    document = json.loads(wrong.out)
    assert (wrong.code, document["compatible"]) == (1, False)
    assert "OrderConfirmed-value: version 1 there: new readers: total_minor" in document["problems"][0]
    assert len(document["not_registered"]) == len(EVENTS)


def test_register_says_what_it_did_and_may_be_repeated(tmp_path: Path, registry: RegistryServer) -> None:
    there = {"PAYMENTS_SCHEMA_REGISTRY_URL": registry.url, "PAYMENTS_TOPIC_PREFIX": "shop."}
    first = payments(tmp_path, "schemas", "register", **there)
    assert (first.code, first.err) == (0, "")
    assert "shop.OrderConfirmed-value: registered, id " in first.out
    assert first.out.endswith(f"{len(EVENTS)} schemas, {len(EVENTS)} registered now, 0 with problems\n")

    again = json.loads(payments(tmp_path, "schemas", "register", "--json", **there).out)["schemas"]
    assert {row["did"] for row in again} == {"there already"}
    assert {row["id"] for row in again} == {entry.schema_id for entry in registry.entries}


def test_register_refuses_what_does_not_fit_and_registers_the_others(tmp_path: Path, registry: RegistryServer) -> None:
    registry.add("OrderConfirmed-value", '{"type": "record", "name": "OrderConfirmed", "fields": []}')
    ran = payments(tmp_path, "schemas", "register", PAYMENTS_SCHEMA_REGISTRY_URL=registry.url)
    assert ran.code == 1
    assert "OrderConfirmed-value: version 1 there: " in ran.err
    assert ran.err.count("delete it for good") == 1, "what to do about it is said once"
    assert len(registry.entries) == len(EVENTS)


def test_check_says_what_to_do_about_a_version_of_others_and_takes_one_that_lacks_only_a_uuid(
    tmp_path: Path, registry: RegistryServer
) -> None:
    there = {"PAYMENTS_SCHEMA_REGISTRY_URL": registry.url}
    harmless = load("OrderConfirmed")
    next(field for field in harmless["fields"] if field["name"] == "event_id")["type"] = "string"
    registry.add("OrderConfirmed-value", harmless)
    assert payments(tmp_path, "schemas", "check", **there).code == 0

    registry.add("OrderConfirmed-value", {**load("OrderConfirmed"), "namespace": "shop"})
    ran = payments(tmp_path, "schemas", "check", **there)
    assert ran.code == 1
    assert "version 2 there: new readers: the record: shop.OrderConfirmed cannot be read as payments." in ran.err
    assert ran.err.count("delete it for good") == 1


def test_register_waits_for_a_registry_that_lags_behind_and_says_so(tmp_path: Path, registry: RegistryServer) -> None:
    registry.behind = 2
    ran = payments(tmp_path, "schemas", "register", PAYMENTS_SCHEMA_REGISTRY_URL=registry.url)
    assert (ran.code, ran.err.count("\n")) == (0, 1), ran.err
    assert ran.err.startswith("the registry lags behind: waiting up to 30 s until it gives ")
    assert ran.out.endswith(f"{len(EVENTS)} schemas, {len(EVENTS)} registered now, 0 with problems\n")


def test_a_subject_over_which_alone_the_registry_fails_is_a_line_and_the_others_are_registered(
    tmp_path: Path, registry: RegistryServer
) -> None:
    registry.answers["GET /subjects/PaymentFailed-value/versions"] = Answer(403, b'{"error_code": 40301}')
    for command in ("register", "check"):
        ran = payments(tmp_path, "schemas", command, PAYMENTS_SCHEMA_REGISTRY_URL=registry.url)
        assert (ran.code, ran.err.count("\n")) == (1, 1), ran.err
        assert ran.err.startswith("PaymentFailed-value: the schema registry refuses the login (HTTP 403)")
        assert len(registry.entries) == len(EVENTS) - 1


@pytest.mark.parametrize("command", ["check", "register"])
def test_a_registry_that_does_not_answer_ends_a_command_with_3(
    tmp_path: Path, registry: RegistryServer, command: str
) -> None:
    registry.ill = Answer(503, b"<html>no</html>")
    for url, words in (
        (registry.url, "HTTP 503"),
        ("http://127.0.0.1:1", "check that it runs, PAYMENTS_SCHEMA_REGISTRY_URL"),
    ):
        ran = payments(tmp_path, "schemas", command, PAYMENTS_SCHEMA_REGISTRY_URL=url)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
        assert words in ran.err


def test_register_without_a_registry_says_what_to_set(tmp_path: Path) -> None:
    ran = payments(tmp_path, "schemas", "register")
    assert ran.code == 2
    assert "set PAYMENTS_SCHEMA_REGISTRY_URL" in ran.err


@pytest.mark.integration
def test_a_registry_without_our_schemas_is_found_at_start_by_all_that_write(
    tmp_path: Path, registry: RegistryServer, deployment: dict[str, str]
) -> None:
    there = {**deployment, "PAYMENTS_SCHEMA_REGISTRY_URL": registry.url}
    for arguments in (["consume", "all"], ["up"], ["sweep", "--once"]):
        ran = payments(tmp_path, *arguments, **there)
        assert (ran.code, ran.err.count("\n")) == (3, 1), ran.err
        assert "run `payments schemas register`" in ran.err
    order = json.dumps(confirmed("order-1"))
    publishing = payments(tmp_path, "publish", "-", stdin=order, **there)
    assert publishing.code == 3
    assert "run `payments schemas register`" in publishing.err
    assert payments(tmp_path, "relay", "--once", **there).out == "0 messages sent\n"

    assert payments(tmp_path, "schemas", "register", **there).code == 0
    assert payments(tmp_path, "sweep", "--once", **there).out == "0 operations were due\n"


@pytest.mark.integration
def test_an_order_whose_id_a_lagging_registry_does_not_know_yet_is_paid_and_no_dead_letter(
    tmp_path: Path, registry: RegistryServer, registered: dict[str, str]
) -> None:
    payments(tmp_path, "stock", "set", "SKU-1", "9", **registered)
    payments(tmp_path, "stock", "set", "SKU-2", "9", **registered)
    with started(tmp_path, "up", **registered) as up:
        up.await_line("running")
        newer = {**load("OrderConfirmed"), "doc": "A newer version."}
        schema_id = registry.add(f"{registered['PAYMENTS_TOPIC_PREFIX']}OrderConfirmed-value", newer)
        registry.hidden.add(schema_id)
        order = order_confirmed(occurred_at=now())
        body = wire.confluent(schema_id, Codec().encode(order)[BODY_AT:])
        line = json.dumps({"type": "OrderConfirmed", "key": order.order_id, "raw_hex": body.hex()})
        assert payments(tmp_path, "publish", "--unchecked", "-", stdin=line, **registered).code == 0

        asked = f"GET /schemas/ids/{schema_id}/versions"
        up.eventually(lambda: registry.asked.count(asked) > 3, "asked again and again")
        assert status_of(registered, order.order_id) is None
        registry.hidden.clear()

        up.eventually(lambda: status_of(registered, order.order_id) == "paid_and_confirmed", "paid")
        assert up.stop() == 0
    with connected(registered["PAYMENTS_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM dead_letter").fetchone() == (0,)


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_one_id_over_which_the_registry_fails_holds_its_partition_and_is_a_dead_letter_that_can_be_redriven(
    tmp_path: Path, registry: RegistryServer, registered: dict[str, str]
) -> None:
    payments(tmp_path, "stock", "set", "tea", "99", **registered)
    payments(tmp_path, "stock", "set", "SKU-1", "9", **registered)
    payments(tmp_path, "stock", "set", "SKU-2", "9", **registered)
    subject = f"{registered['PAYMENTS_TOPIC_PREFIX']}OrderConfirmed-value"
    registry.answers[f"GET /subjects/{subject}/versions/1"] = Answer(500, b'{"error_code": 50001, "message": "no"}')
    with started(tmp_path, "up", **registered) as up, connected(registered["PAYMENTS_DATABASE_URL"]) as connection:
        up.await_line("running")
        theirs = registry.add(subject, {**load("OrderConfirmed"), "doc": "Another team's."})
        asked = f"GET /schemas/ids/{theirs}/versions"
        registry.answers[asked] = Answer(403, b'{"error_code": 40301, "message": "User is denied operation Read"}')
        bad = order_confirmed(occurred_at=now())
        body = wire.confluent(theirs, Codec().encode(bad)[BODY_AT:])
        line = json.dumps({"type": "OrderConfirmed", "key": bad.order_id, "raw_hex": body.hex()})
        assert payments(tmp_path, "publish", "--unchecked", "-", stdin=line, **registered).code == 0
        up.eventually(lambda: asked in registry.asked, "the registry has failed over it")

        def letters() -> list[tuple[str, bytes]]:
            return connection.execute("SELECT reason, coalesce(original, body) FROM dead_letter").fetchall()

        names = [f"tea-{n}" for n in range(12)]
        publish(tmp_path, registered, *map(confirmed, names))
        up.eventually(lambda: any(status_of(registered, name) == "paid_and_confirmed" for name in names), "others paid")
        assert letters() == [], "other partitions did not wait for the end of it"

        up.eventually(lambda: letters() == [("unknown_schema", body)], "a dead letter with its body", 90)
        up.eventually(lambda: {status_of(registered, name) for name in names} == {"paid_and_confirmed"}, "all paid")
        assert "dependency_down" not in up.log

        refused = payments(tmp_path, "dlq", "redrive", "--all", **registered)
        assert (refused.code, "not for schema id" in refused.out) == (1, True), refused.err
        registry.answers.clear()
        assert payments(tmp_path, "dlq", "redrive", "--all", **registered).code == 0
        up.eventually(lambda: status_of(registered, bad.order_id) == "paid_and_confirmed", "the letter is paid, too")
        assert up.stop() == 0


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_commands_that_write_without_registered_schemas_end_with_3_and_one_line(
    tmp_path: Path, registry: RegistryServer, deployment: dict[str, str]
) -> None:
    payments(tmp_path, "stock", "set", "tea", "9", **deployment)
    quick = {"PAYMENTS_UNKNOWN_GIVE_UP_S": "0.5", "PAYMENTS_UNKNOWN_RETRY_S": "0.1", "PAYMENTS_EARLY_WAIT_S": "1"}
    with started(tmp_path, "up", **deployment | quick) as up:
        publish(tmp_path, deployment, retried("order-1", 1))
        with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
            letters = "SELECT count(*) FROM dead_letter"
            up.eventually(lambda: connection.execute(letters).fetchone() == (1,), "a letter")
        publish(tmp_path, deployment, confirmed("order-1"), confirmed("order-2", "pm_fault_html_on_authorize_always"))
        up.eventually(lambda: status_of(deployment, "order-1") == "paid_and_confirmed", "paid")
        up.eventually(lambda: status_of(deployment, "order-2") == "manual_review", "a review")
        assert up.stop() == 0

    for arguments in (
        ["dlq", "redrive", "--all"],
        ["order", "resolve", "order-2", "--as", "not-executed", "--reason", "none there"],
    ):
        ran = payments(tmp_path, *arguments, **deployment, PAYMENTS_SCHEMA_REGISTRY_URL=registry.url)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1), ran.err
        assert "run `payments schemas register`" in ran.err
        assert payments(tmp_path, *arguments, **deployment).code == 0, "nothing had happened"


@pytest.mark.integration
def test_a_registry_that_hangs_after_the_start_stops_nobody_who_uses_known_schemas(
    tmp_path: Path, registry: RegistryServer, registered: dict[str, str]
) -> None:
    payments(tmp_path, "stock", "set", "tea", "9", **registered)
    without = {name: value for name, value in registered.items() if name != "PAYMENTS_SCHEMA_REGISTRY_URL"}
    with started(tmp_path, "up", **registered) as up:
        up.await_line("running")
        registry.healthy.clear()
        asked = len(registry.asked)
        publish(tmp_path, without, confirmed("order-1"))
        up.eventually(lambda: status_of(registered, "order-1") == "paid_and_confirmed", "paid")
        assert len(registry.asked) == asked
        assert up.stop() == 0
