"""A registry that lags behind, is slow or is dead: no message is condemned for it, and nobody waits for its answers."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from schemas.awaited import AWAITED_MAX, Patience
from schemas.awaiting import AwaitingRegistry
from schemas.codec import Codec
from schemas.confluent import TIMEOUT_S, ConfluentRegistry
from schemas.events import Event
from schemas.registry import NotThere, RegistryUnavailable, SchemaAwaited
from schemas.rejection import Reason, Rejected
from schemas.shapes import load
from tests.eventually import eventually
from tests.schemas import wire
from tests.schemas.builders import order_confirmed
from tests.schemas.registry_server import Answer, RegistryServer, registry_server

SUBJECT = "shop.OrderConfirmed-value"
KEY = b"order-1"
LONG = Patience(unknown_s=300, again_s=0.05, remembered_s=300, down_s=0.05, answer_max_s=300)
SHORT = replace(LONG, unknown_s=0.3)
AT_ONCE_S = 2.0
"""So long a call may take that asks nobody, on a busy machine; a question that is not answered takes TIMEOUT_S."""


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as server:
        yield server


def awaiting(server: RegistryServer, patience: Patience = LONG) -> AwaitingRegistry:
    return AwaitingRegistry(ConfluentRegistry.at(server.url), patience)


def codec_of(registry: AwaitingRegistry) -> Codec:
    return Codec(registry=registry, prefix="shop.")


def outcome(codec: Codec, schema_id: int) -> Event | Reason | type[Exception]:
    """Decode a good order that was written under this id; it takes no time, whatever the registry does."""
    began = time.monotonic()
    try:
        return codec.decode("OrderConfirmed", KEY, wire.confluent(schema_id, wire.order()))
    except Rejected as refused:
        return refused.reason
    except (SchemaAwaited, RegistryUnavailable) as error:
        return type(error)
    finally:
        assert time.monotonic() - began < AT_ONCE_S


def eventually_is(codec: Codec, schema_id: int, wanted: Event | Reason | type[Exception]) -> None:
    eventually(lambda: outcome(codec, schema_id) == wanted, lambda: f"{wanted}, but {outcome(codec, schema_id)}")


def test_an_id_that_a_lagging_registry_does_not_know_yet_is_awaited_and_then_read(server: RegistryServer) -> None:
    schema_id = server.add(SUBJECT, load("OrderConfirmed"))
    server.hidden.add(schema_id)
    codec = codec_of(awaiting(server))
    assert outcome(codec, schema_id) is SchemaAwaited

    eventually(lambda: server.asked.count(f"GET /schemas/ids/{schema_id}/versions") > 3, "asked again", 20)
    assert outcome(codec, schema_id) is SchemaAwaited
    server.hidden.clear()

    eventually_is(codec, schema_id, order_confirmed())


def test_an_id_that_stays_unknown_is_refused_after_the_patience_and_then_remembered(server: RegistryServer) -> None:
    server.add(SUBJECT, load("OrderConfirmed"))
    codec = codec_of(awaiting(server, SHORT))
    began = time.monotonic()
    eventually_is(codec, 99, Reason.UNKNOWN_SCHEMA)
    assert time.monotonic() - began >= SHORT.unknown_s

    asked = len(server.asked)
    assert {outcome(codec, 99) for _ in range(100)} == {Reason.UNKNOWN_SCHEMA}
    assert len(server.asked) == asked


def test_a_refused_id_that_appears_later_is_found_and_is_not_waited_for_twice(server: RegistryServer) -> None:
    patience = replace(LONG, unknown_s=2, remembered_s=0.1)
    codec = codec_of(awaiting(server, patience))
    eventually_is(codec, 1, Reason.UNKNOWN_SCHEMA)

    asked = len(server.asked)
    eventually(
        lambda: outcome(codec, 1) is Reason.UNKNOWN_SCHEMA and len(server.asked) > asked,
        "asked once more and refused at once",
        patience.unknown_s,
    )
    server.add(SUBJECT, load("OrderConfirmed"))

    eventually_is(codec, 1, order_confirmed())


def test_the_unknown_ids_of_a_batch_are_awaited_together(server: RegistryServer) -> None:
    ids = range(50, 100)
    codec = codec_of(awaiting(server, replace(LONG, unknown_s=1.5)))
    assert {outcome(codec, schema_id) for schema_id in ids} == {SchemaAwaited}
    began = time.monotonic()

    eventually(lambda: {outcome(codec, schema_id) for schema_id in ids} == {Reason.UNKNOWN_SCHEMA}, "all refused", 20)

    assert time.monotonic() - began < 10 * 1.5, "one after the other, it would be fifty times the patience"


def test_a_flood_of_made_up_ids_does_not_flood_the_registry_and_all_get_an_answer(server: RegistryServer) -> None:
    server.healthy.clear()
    codec = codec_of(awaiting(server, SHORT))
    ids = range(1, 2 * AWAITED_MAX + 1)
    assert {outcome(codec, schema_id) for schema_id in ids} == {SchemaAwaited}
    server.healthy.set()
    eventually(lambda: {outcome(codec, schema_id) for schema_id in ids} == {Reason.UNKNOWN_SCHEMA}, "all refused", 60)


def test_the_same_schema_of_another_deployment_is_waited_for_and_another_events_is_not(server: RegistryServer) -> None:
    theirs = server.add("staging.OrderConfirmed-value", load("OrderConfirmed"))
    other = server.add("shop.PaymentRetryRequested-value", load("PaymentRetryRequested"))
    codec = codec_of(awaiting(server))

    eventually_is(codec, other, Reason.WRONG_SCHEMA)
    assert outcome(codec, theirs) is SchemaAwaited
    assert server.add(SUBJECT, load("OrderConfirmed")) == theirs

    eventually_is(codec, theirs, order_confirmed())


def test_one_subject_of_another_deployment_alone_is_a_wrong_schema_in_the_end(server: RegistryServer) -> None:
    theirs = server.add("staging.OrderConfirmed-value", load("OrderConfirmed"))
    eventually_is(codec_of(awaiting(server, SHORT)), theirs, Reason.WRONG_SCHEMA)


ILL = {
    "500": Answer(500, b'{"error_code": 50001, "message": "the store is down"}'),
    "502 of a proxy": Answer(502, b"<html>Bad Gateway</html>"),
    "401": Answer(401, b'{"error_code": 401, "message": "who are you"}'),
    "404 of a proxy": Answer(404, b"<html>Not Found</html>"),
    "404 of another service": Answer(404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
    "404 with a list": Answer(404, b"[]"),
    "redirect": Answer(302, headers={"Location": "http://127.0.0.1:1/"}),
    "login page": Answer(200, b"<html>Log in</html>"),
    "empty": Answer(200),
    "other JSON": Answer(200, b'{"status": "ok"}'),
    "list of others": Answer(200, b'[{"status": "ok"}]'),
    "null": Answer(200, b"null"),
}


@pytest.mark.parametrize("ill", ILL.values(), ids=ILL.keys())
def test_what_is_no_answer_of_a_registry_condemns_no_message(server: RegistryServer, ill: Answer) -> None:
    schema_id = server.add(SUBJECT, load("OrderConfirmed"))
    server.ill = ill
    # Not 0: the registry may come back between its failure over the id and the control.
    codec = codec_of(awaiting(server, replace(LONG, unknown_s=5)))

    eventually_is(codec, schema_id, RegistryUnavailable)
    with pytest.raises(RegistryUnavailable):
        ConfluentRegistry.at(server.url).schema_of(SUBJECT, schema_id)
    with pytest.raises(RegistryUnavailable):
        ConfluentRegistry.at(server.url).id_of(SUBJECT, load("OrderConfirmed"))
    server.ill = None

    eventually_is(codec, schema_id, order_confirmed())


def test_a_registry_that_hangs_costs_nobody_a_wait_and_what_is_known_is_read_meanwhile(server: RegistryServer) -> None:
    known = server.add(SUBJECT, load("OrderConfirmed"))
    codec = codec_of(awaiting(server, replace(LONG, answer_max_s=0.1)))
    eventually_is(codec, known, order_confirmed())

    server.healthy.clear()
    assert outcome(codec, 50) is SchemaAwaited
    eventually_is(codec, 50, RegistryUnavailable)

    assert outcome(codec, known) == order_confirmed()
    server.healthy.set()
    eventually_is(codec, 50, SchemaAwaited)


def test_a_command_that_reads_many_bodies_waits_for_a_silent_registry_once(server: RegistryServer) -> None:
    server.healthy.clear()
    registry = ConfluentRegistry.at(server.url)
    began = time.monotonic()
    for schema_id in range(1, 20):
        with pytest.raises(RegistryUnavailable):
            registry.schema_of(SUBJECT, schema_id)
    assert time.monotonic() - began < 4 * TIMEOUT_S
    assert len(server.asked) == 2, "for the id, and whether it answers at all"


def test_a_dead_registry_is_asked_once_in_a_while_not_once_a_message(server: RegistryServer) -> None:
    server.ill = ILL["500"]
    codec = codec_of(awaiting(server, replace(LONG, down_s=300)))
    eventually_is(codec, 1, RegistryUnavailable)

    assert {outcome(codec, schema_id) for schema_id in range(1, 500)} == {RegistryUnavailable}

    assert len(server.asked) == 2, "for the id, and whether it answers at all"


def test_an_id_over_which_the_registry_fails_does_not_keep_others_waiting(server: RegistryServer) -> None:
    good = server.add(SUBJECT, load("OrderConfirmed"))
    bad = server.add(SUBJECT, load("OrderConfirmed"), schemaType=7)
    codec = codec_of(awaiting(server))
    outcome(codec, bad)

    eventually_is(codec, good, order_confirmed())


OF_ONE_ID = ILL | {
    "403": Answer(403, b'{"error_code": 40301, "message": "User is denied operation Read on Subject: theirs"}'),
    "deep JSON": Answer(200, b"[" * 100_000),
    "huge": Answer(200, b"x" * 20_000_000),
    "subjects of no text": Answer(200, b'[{"subject": 7, "version": 1}]'),
    "no answer": None,
}


@pytest.mark.parametrize("question", ["GET /schemas/ids/{}", "GET /schemas/ids/{}/versions"])
@pytest.mark.parametrize("ill", OF_ONE_ID.values(), ids=OF_ONE_ID.keys())
def test_an_id_over_which_alone_the_registry_fails_is_awaited_alone_and_then_refused(
    server: RegistryServer, ill: Answer | None, question: str
) -> None:
    ours = server.add("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    bad = server.add(SUBJECT, load("OrderConfirmed"))
    good = server.add(SUBJECT, {**load("OrderConfirmed"), "doc": "A newer version."})
    asked = question.format(bad)
    if ill is None:
        server.hanging.add(asked)
    else:
        server.answers[asked] = ill
    registry = awaiting(server, replace(SHORT, down_s=300))
    assert registry.id_of("shop.PaymentAuthorized-value", load("PaymentAuthorized")) == ours
    codec = codec_of(registry)

    began = time.monotonic()
    seen = [outcome(codec, bad)]

    def refused() -> bool:
        seen.append(outcome(codec, bad))
        return seen[-1] is not SchemaAwaited

    eventually(refused, "refused", 30)
    assert {*seen} == {SchemaAwaited, Reason.UNKNOWN_SCHEMA}, "it never was an outage"
    assert time.monotonic() - began >= SHORT.unknown_s
    eventually_is(codec, good, order_confirmed())
    assert outcome(codec, bad) is Reason.UNKNOWN_SCHEMA


def test_an_answer_that_never_ends_is_about_one_id_only(server: RegistryServer) -> None:
    server.add("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    bad = server.add(SUBJECT, load("OrderConfirmed"))
    good = server.add(SUBJECT, {**load("OrderConfirmed"), "doc": "A newer version."})
    server.trickling.add(f"GET /schemas/ids/{bad}")
    registry = awaiting(server, replace(SHORT, answer_max_s=2, remembered_s=0.5))
    registry.id_of("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    codec = codec_of(registry)
    seen = [outcome(codec, bad)]

    def refused() -> bool:
        seen.append(outcome(codec, bad))
        return seen[-1] is Reason.UNKNOWN_SCHEMA

    for _ in range(3):
        eventually(refused, "refused", 20)
        eventually(lambda: not refused(), "forgotten, and asked for again", 20)
    assert {*seen} == {SchemaAwaited, Reason.UNKNOWN_SCHEMA}, "it never was an outage"
    eventually_is(codec, good, order_confirmed())


def test_a_registry_all_of_whose_answers_never_end_is_down_and_comes_back(server: RegistryServer) -> None:
    ours = server.add("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    good = server.add(SUBJECT, load("OrderConfirmed"))
    registry = awaiting(server, replace(LONG, answer_max_s=1, remembered_s=0.5))
    registry.id_of("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    server.trickling |= {f"GET /schemas/ids/{schema_id}/versions" for schema_id in (ours, good)}
    codec = codec_of(registry)
    eventually_is(codec, good, RegistryUnavailable)
    server.trickling.clear()
    eventually_is(codec, good, order_confirmed())


def test_an_id_over_which_the_registry_failed_for_a_while_is_read(server: RegistryServer) -> None:
    schema_id = server.add(SUBJECT, load("OrderConfirmed"))
    asked = f"GET /schemas/ids/{schema_id}/versions"
    server.answers[asked] = OF_ONE_ID["403"] or Answer(403)
    codec = codec_of(awaiting(server))
    assert outcome(codec, schema_id) is SchemaAwaited
    eventually(lambda: server.asked.count(asked) > 3, "asked again", 20)
    assert outcome(codec, schema_id) is SchemaAwaited
    server.answers.clear()

    eventually_is(codec, schema_id, order_confirmed())


@pytest.mark.parametrize("known", [True, False], ids=["an id of ours is known", "none is known"])
def test_a_registry_that_lost_what_it_surely_had_condemns_no_message(server: RegistryServer, *, known: bool) -> None:
    ours = server.add("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    registry = awaiting(server, replace(LONG, unknown_s=0))
    if known:
        assert registry.id_of("shop.PaymentAuthorized-value", load("PaymentAuthorized")) == ours
    server.entries.clear()
    server.answers["GET /schemas/ids/50/versions"] = ILL["500"]
    codec = codec_of(registry)
    eventually_is(codec, 50, RegistryUnavailable)
    server.answers.clear()
    eventually_is(codec, 50, Reason.UNKNOWN_SCHEMA)


def test_the_control_is_asked_of_the_registry_and_not_of_a_cache(server: RegistryServer) -> None:
    server.add("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    registry = ConfluentRegistry.at(server.url)
    ours = registry.id_of("shop.PaymentAuthorized-value", load("PaymentAuthorized"))
    assert registry.answers_for_others(50, SUBJECT)
    for question in (f"GET /schemas/ids/{ours}/versions", f"GET /schemas/ids/{ours}"):
        server.answers[question] = ILL["500"]
        assert not registry.answers_for_others(50, SUBJECT)
        server.answers.clear()
    assert registry.answers_for_others(50, SUBJECT)


def test_a_command_passes_over_an_id_over_which_alone_the_registry_fails(server: RegistryServer) -> None:
    bad = server.add(SUBJECT, load("OrderConfirmed"))
    good = server.add(SUBJECT, {**load("OrderConfirmed"), "doc": "A newer version."})
    server.hanging.add(f"GET /schemas/ids/{bad}/versions")
    registry = ConfluentRegistry.at(server.url)
    for _ in range(5):
        with pytest.raises(Rejected, match=f"answers for others, but not for schema id {bad}"):
            registry.schema_of(SUBJECT, bad)
    assert registry.schema_of(SUBJECT, good)["doc"] == "A newer version."
    assert server.asked.count(f"GET /schemas/ids/{bad}/versions") == 1, "the refusal is remembered"


def test_a_version_over_which_the_registry_fails_does_not_hide_the_others(server: RegistryServer) -> None:
    first = server.add(SUBJECT, load("OrderConfirmed"))
    server.add(SUBJECT, {**load("OrderConfirmed"), "doc": "A newer version."})
    server.answers[f"GET /subjects/{SUBJECT}/versions/2"] = ILL["500"]
    one, two = ConfluentRegistry.at(server.url).versions(SUBJECT, deleted=True)
    assert (one.schema_id, one.schema) == (first, load("OrderConfirmed"))
    assert (two.number, two.schema_id, two.schema) == (2, None, None)
    assert "HTTP 500" in two.why

    server.ill = ILL["500"]
    with pytest.raises(RegistryUnavailable):
        ConfluentRegistry.at(server.url).versions(SUBJECT, deleted=True)


def test_an_outage_in_between_begins_the_patience_anew(server: RegistryServer) -> None:
    codec = codec_of(awaiting(server, replace(SHORT, unknown_s=1)))
    assert outcome(codec, 1) is SchemaAwaited
    eventually(lambda: len(server.asked) > 1, "asked twice", 20)
    server.ill = ILL["500"]
    eventually_is(codec, 1, RegistryUnavailable)
    server.add(SUBJECT, load("OrderConfirmed"))
    server.hidden.add(1)
    server.ill = None
    asked = len(server.asked)
    eventually(lambda: len(server.asked) > asked + 1, "not there again", 20)
    assert outcome(codec, 1) is SchemaAwaited


def test_what_can_never_become_an_avro_record_is_refused_at_once(server: RegistryServer) -> None:
    order = json.dumps(load("OrderConfirmed"))
    bad = [
        server.add(SUBJECT, order, schemaType="JSON"),
        server.add(SUBJECT, 'syntax = "proto3";', schemaType="PROTOBUF"),
        server.add(SUBJECT, order, references=[{"name": "payments.Money", "subject": "money", "version": 1}]),
        server.add(SUBJECT, '"int"'),
        server.add(SUBJECT, "{"),
        server.add(SUBJECT, "[" * 100_000),
        server.add(SUBJECT, json.dumps({**load("OrderConfirmed"), "doc": "x" * 1_000_000})),
    ]
    codec = codec_of(awaiting(server))
    for schema_id in [*bad, 2**31]:
        eventually_is(codec, schema_id, Reason.UNKNOWN_SCHEMA)


def test_a_version_that_was_deleted_is_still_read(server: RegistryServer) -> None:
    schema_id = server.add(SUBJECT, load("OrderConfirmed"))
    server.entries[0].deleted = True
    eventually_is(codec_of(awaiting(server)), schema_id, order_confirmed())


def test_what_was_learned_at_start_is_not_asked_for(server: RegistryServer) -> None:
    registry = awaiting(server)
    registry.learn(SUBJECT, 7, load("OrderConfirmed"))

    assert outcome(codec_of(registry), 7) == order_confirmed()
    assert server.asked == []


def test_a_registered_schema_that_is_refused_is_studied_once(server: RegistryServer) -> None:
    schema = load("OrderConfirmed")
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "total_minor"]
    schema_id = server.add(SUBJECT, schema)
    codec = codec_of(awaiting(server))
    eventually_is(codec, schema_id, Reason.UNKNOWN_SCHEMA)

    began = time.monotonic()
    assert {outcome(codec, schema_id) for _ in range(2_000)} == {Reason.UNKNOWN_SCHEMA}
    assert time.monotonic() - began < TIMEOUT_S / 3, "studying it takes a millisecond each time"


class Broken:
    """A client with a mistake in it."""

    def id_of(self, subject: str, schema: dict[str, object]) -> int:
        raise KeyError(subject)

    def look_up(self, subject: str, schema_id: int) -> NotThere:
        raise KeyError(schema_id)

    def answers_for_others(self, but_id: int | None, subject: str) -> bool:
        raise KeyError(subject)


def test_a_bug_of_the_client_is_raised_and_nobody_waits_for_ever() -> None:
    registry = AwaitingRegistry(Broken(), LONG)
    caught: list[type[Exception]] = []

    def asked() -> bool:
        try:
            registry.schema_of(SUBJECT, 1)
        except (SchemaAwaited, KeyError) as error:
            caught.append(type(error))
        return caught[-1] is KeyError

    eventually(asked, "the bug", 20)


def test_a_closed_registry_asks_no_more(server: RegistryServer) -> None:
    registry = awaiting(server)
    outcome(codec_of(registry), 1)
    thread = registry._thread
    assert thread is not None
    registry.close()
    thread.join(20)
    assert not thread.is_alive()
