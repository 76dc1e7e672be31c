"""Our schemas in a registry: put there once, held to what is there, read back."""

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.confluent import ConfluentRegistry, connect
from schemas.models import EVENTS
from schemas.registering import LAG_S, LEVEL, Registrar
from schemas.registry import RegistryUnavailable
from schemas.shapes import load
from tests.schemas.registry_server import Answer, RegistryServer, registry_server

SUBJECT = "shop.OrderConfirmed-value"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as server:
        yield server


@pytest.fixture
def registrar(server: RegistryServer) -> Registrar:
    return Registrar(connect(server.url), "shop.")


def again(server: RegistryServer) -> Registrar:
    """Come back later, remembering nothing."""
    return Registrar(connect(server.url), "shop.")


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(field for field in schema["fields"] if field["name"] == name)
    return found


def kind_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Find the enum of the payment method's kinds."""
    kind: dict[str, Any] = field(schema, "payment_method")["type"][1]["fields"][0]["type"]
    return kind


def test_every_event_is_registered_under_its_topic_with_its_level(server: RegistryServer, registrar: Registrar) -> None:
    done = registrar.register(*EVENTS)

    assert [one.did for one in done] == ["registered"] * len(EVENTS)
    assert {entry.subject for entry in server.entries} == {f"shop.{event_type}-value" for event_type in EVENTS}
    assert set(server.levels.values()) == {LEVEL}
    assert server.levels.keys() == {entry.subject for entry in server.entries}
    for one in done:
        assert ConfluentRegistry.at(server.url).id_of(one.subject, load(one.event_type)) == one.schema_id


def test_registering_again_changes_nothing(server: RegistryServer, registrar: Registrar) -> None:
    (first,) = registrar.register("OrderConfirmed")
    before = copy.deepcopy(server.entries)
    (second,) = again(server).register("OrderConfirmed")

    assert (second.did, second.schema_id, second.problems) == ("there already", first.schema_id, ())
    assert server.entries == before
    assert not [asked for asked in server.asked[-6:] if asked.startswith("PUT")]


def test_a_subject_with_another_level_gets_ours(server: RegistryServer, registrar: Registrar) -> None:
    server.add(SUBJECT, load("OrderConfirmed"))
    server.levels[SUBJECT] = "BACKWARD"
    assert registrar.register("OrderConfirmed")[0].did == f"set to {LEVEL}"
    assert server.levels[SUBJECT] == LEVEL


def test_what_does_not_fit_is_refused_and_not_put_there_though_the_registry_would_take_it(
    server: RegistryServer, registrar: Registrar
) -> None:
    millis = load("OrderConfirmed")
    field(millis, "occurred_at")["type"]["logicalType"] = "timestamp-millis"
    server.add(SUBJECT, millis)

    (refused,) = registrar.register("OrderConfirmed")

    assert refused.did == "refused"
    assert "version 1 there: new readers: occurred_at: the meaning changes" in refused.problems[0]
    assert len(server.entries) == 1


def test_a_refusal_is_told_in_the_registrys_words(server: RegistryServer, registrar: Registrar) -> None:
    words = b'{"error_code": 42205, "message": "Subject shop.OrderConfirmed-value is in\\nread-only mode"}'
    server.answers["POST /subjects/shop.OrderConfirmed-value/versions"] = Answer(422, words)

    (refused,) = registrar.register("OrderConfirmed")

    assert refused.problems == ("the registry refuses it: Subject shop.OrderConfirmed-value is in read-only mode",)


def test_a_registry_that_keeps_an_older_version_without_the_enums_default_is_found_out(
    server: RegistryServer, registrar: Registrar
) -> None:
    without = load("OrderConfirmed")
    del kind_of(without)["default"]
    server.add(SUBJECT, without)
    server.same = lambda old, new: bool(fields_of(old) == fields_of(new))

    for (found,) in (registrar.compare("OrderConfirmed"), again(server).register("OrderConfirmed")):
        assert found.schema_id == 1
        (problem,) = found.problems
        assert "it differs at OrderConfirmed.payment_method" in problem
        assert "default" in problem


def test_what_a_registry_would_give_in_place_of_ours_is_refused_before_anything_is_changed_there(
    server: RegistryServer, registrar: Registrar
) -> None:
    without = load("OrderConfirmed")
    del kind_of(without)["default"]
    server.add(SUBJECT, without)
    server.levels[SUBJECT] = "BACKWARD"
    server.same = lambda old, new: bool(fields_of(old) == fields_of(new))

    (refused,) = registrar.register("OrderConfirmed")

    assert refused.did == "refused"
    assert "delete that version for good" in refused.problems[0]
    assert (server.levels, len(server.entries)) == ({SUBJECT: "BACKWARD"}, 1)
    assert not [asked for asked in server.asked if asked.startswith("PUT")]

    server.entries.clear()
    assert [(one.did, one.problems) for one in again(server).register("OrderConfirmed")] == [("registered", ())]


def test_an_enum_without_a_default_is_refused_before_it_is_registered(
    server: RegistryServer,
) -> None:
    ours = load("OrderConfirmed")
    del kind_of(ours)["default"]

    (refused,) = offering(ours, server).register("OrderConfirmed")

    assert (refused.did, server.entries) == ("refused", [])
    (problem,) = refused.problems
    assert problem.startswith("the enum PaymentMethodKind has no default: give it one before the schema is registered")


def offering(ours: dict[str, Any], server: RegistryServer) -> Registrar:
    """Return a registrar of a release whose schema this is."""
    return Registrar(connect(server.url), "shop.", ours=lambda _: copy.deepcopy(ours))


def changed(how: str) -> dict[str, Any]:
    """Return OrderConfirmed with one change that registries accept under FULL_TRANSITIVE, and that breaks readers."""
    schema = load("OrderConfirmed")
    match how:
        case "uuid dropped":
            field(schema, "event_id")["type"] = "string"
        case "micros dropped":
            field(schema, "occurred_at")["type"] = "long"
        case "micros to millis":
            field(schema, "occurred_at")["type"]["logicalType"] = "timestamp-millis"
        case "another namespace":
            schema["namespace"] = "shop"
        case "text to bytes":
            field(schema, "customer_id")["type"] = "bytes"
    return schema


CHANGES = {
    "uuid dropped": "event_id: the meaning changes",
    "micros dropped": "occurred_at: the meaning changes",
    "micros to millis": "occurred_at: the meaning changes",
    "another namespace": "the record: shop.OrderConfirmed cannot be read",
    "text to bytes": "customer_id: bytes cannot be read as string",
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_change_of_ours_that_a_registry_would_take_is_refused_before_it_is_asked(
    server: RegistryServer, how: str
) -> None:
    server.add(SUBJECT, load("OrderConfirmed"))

    (refused,) = offering(changed(how), server).register("OrderConfirmed")

    assert (refused.did, len(server.entries)) == ("refused", 1)
    assert any("version 1 there: " in problem for problem in refused.problems)
    assert not [asked for asked in server.asked if asked.startswith("POST") and asked.endswith("versions")]


@pytest.mark.parametrize("how", CHANGES)
def test_a_foreign_version_is_told_and_keeps_ours_as_it_is(server: RegistryServer, how: str) -> None:
    ours = server.add(SUBJECT, load("OrderConfirmed"))
    server.add(SUBJECT, changed(how))

    (found,) = again(server).compare("OrderConfirmed")

    assert (found.did, found.schema_id) == ("registered", ours)
    if how == "uuid dropped":
        assert found.problems == (), "it is read, for its text shows whether it is a UUID"
    else:
        assert any(f"version 2 there: new readers: {CHANGES[how]}" in problem for problem in found.problems)


def fields_of(schema: dict[str, Any]) -> list[str]:
    """Take schemas for equal as some registries do, whatever the defaults of enums."""
    return [field["name"] for field in schema["fields"]]


def test_docs_may_differ(server: RegistryServer, registrar: Registrar) -> None:
    other = load("OrderConfirmed")
    other["doc"] = "Another text."
    server.add(SUBJECT, other)
    server.same = lambda old, new: bool(fields_of(old) == fields_of(new))

    assert registrar.compare("OrderConfirmed")[0].problems == ()


def test_a_version_that_was_deleted_is_no_promise(server: RegistryServer, registrar: Registrar) -> None:
    server.add(SUBJECT, '"int"')
    assert registrar.compare("OrderConfirmed")[0].problems == ("version 1 there is not one self-contained Avro record",)
    server.entries[0].deleted = True
    assert again(server).register("OrderConfirmed")[0].did == "registered"


def test_a_registry_that_does_not_answer_is_unavailable(server: RegistryServer, registrar: Registrar) -> None:
    server.ill = Answer(401, b'{"error_code": 401, "message": "who are you"}')
    for call in (registrar.compare, registrar.register):
        with pytest.raises(RegistryUnavailable, match="HTTP 401"):
            call("OrderConfirmed")


def test_what_a_registry_that_lags_behind_does_not_give_yet_is_waited_for_together(server: RegistryServer) -> None:
    server.behind = 3
    told: list[str] = []
    began = time.monotonic()

    done = Registrar(connect(server.url), "shop.", report=told.append).register(*EVENTS)

    assert [(one.did, one.problems) for one in done] == [("registered", ())] * len(EVENTS)
    named = f"{done[0].subject} and {len(EVENTS) - 1} more"
    assert told == [f"the registry lags behind: waiting up to {LAG_S:g} s until it gives {named}"]
    assert time.monotonic() - began < LAG_S


def test_what_readers_never_get_is_a_problem_of_each_subject_and_all_are_registered(server: RegistryServer) -> None:
    server.behind = 10**9
    registrar = Registrar(connect(server.url), "shop.", lag_s=0.1)
    for done in (registrar.register(*EVENTS), registrar.compare(*EVENTS)):
        assert {one.did for one in done} == {"registered"}
        assert len(server.entries) == len(EVENTS)
        for one in done:
            (problem,) = one.problems
            assert problem.startswith("it is there, and the registry does not give it to readers yet")


@pytest.mark.parametrize("status", [403, 500])
def test_a_subject_over_which_alone_the_registry_fails_keeps_no_other_from_being_registered(
    server: RegistryServer, registrar: Registrar, status: int
) -> None:
    first, *_ = EVENTS
    server.answers[f"GET /subjects/shop.{first}-value/versions"] = Answer(status, b'{"error_code": 1, "message": "no"}')
    for done in (registrar.register(*EVENTS), registrar.compare(*EVENTS)):
        assert [one.event_type for one in done if one.problems] == [first]
        assert (done[0].did, done[0].schema_id) == ("not answered", None)
        assert f"HTTP {status}" in done[0].problems[0]
    assert len(server.entries) == len(EVENTS) - 1


def test_a_registry_that_is_silent_is_asked_once(server: RegistryServer, registrar: Registrar) -> None:
    server.healthy.clear()
    with pytest.raises(RegistryUnavailable):
        registrar.register(*EVENTS)
    assert len(server.asked) == 1
