"""Stripe's webhooks: whose signature counts, and what is taken from an event. The body is never kept."""

import hashlib
import hmac
import json
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
import stripe

from consumers.adapters.gateway.stripe_notices import (
    Forged,
    Unreadable,
    check_signature,
    notice_of,
    read_event,
    sign,
)
from domain.notices import REFUND, TYPES, UNASKED

OLD, NEW = b"whsec_old", b"whsec_new"
NOW = 1_795_000_000
TOLERANCE_S = 300
OPERATION = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
BODY = b'{"id": "evt_1"}'


def signature(body: bytes, secret: bytes, at: int = NOW) -> str:
    """Sign as the documentation says, not by our own function."""
    return hmac.new(secret, b"%d.%s" % (at, body), hashlib.sha256).hexdigest()


def check(body: bytes, header: str, *secrets: bytes, now: float = NOW) -> None:
    check_signature(body, header, secrets or (OLD,), now, TOLERANCE_S)


def event(name: str = "payment_intent.succeeded", **thing: Any) -> dict[str, Any]:
    metadata = {"order_id": "order-1", "attempt": "1", "operation_id": str(OPERATION)}
    given = {"id": "pi_1", "object": "payment_intent", "metadata": metadata, "receipt_email": "a@example.com", **thing}
    return {"id": "evt_1", "object": "event", "type": name, "created": NOW, "data": {"object": given}}


def test_what_a_secret_of_ours_signed_is_accepted() -> None:
    check(BODY, f"t={NOW},v1={signature(BODY, OLD)}")
    check(BODY, sign(BODY, OLD, NOW))


def test_our_scheme_is_that_of_the_sdk() -> None:
    header = f"t={NOW},v1={signature(BODY, OLD)}"
    assert stripe.WebhookSignature.verify_header(BODY, header, OLD.decode(), tolerance=None)
    check(BODY, stripe.WebhookSignature.generate_signature_header(BODY.decode(), OLD.decode(), NOW))


def test_the_sdk_knows_every_type_that_we_take() -> None:
    known = set(get_args(get_type_hints(stripe.Event)["type"]))
    assert len(known) > 200
    assert known >= set(TYPES)


@pytest.mark.parametrize("signer", [OLD, NEW])
def test_while_the_secret_is_changed_both_count(signer: bytes) -> None:
    check(BODY, f"t={NOW},v1={signature(BODY, signer)}", OLD, NEW)


def test_one_right_signature_among_several_is_enough_and_other_schemes_are_passed_over() -> None:
    check(BODY, f"t={NOW},v0=abc,v1={'0' * 64}, v1={signature(BODY, OLD)},v2=x")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        f"t={NOW}",
        f"v1={signature(BODY, OLD)}",
        f"t={NOW},v1={signature(BODY, NEW)}",
        f"t={NOW},v1={signature(BODY + b' ', OLD)}",
        f"t={NOW},v0={signature(BODY, OLD)}",
        f"t={NOW},t={NOW},v1={signature(BODY, OLD)}",
        f"t={NOW + 1},v1={signature(BODY, OLD)}",
        f"t=-{NOW},v1={signature(BODY, OLD)}",
        f"t={NOW}.0,v1={signature(BODY, OLD)}",
        f"t={'9' * 400},v1={signature(BODY, OLD)}",
        f"t={NOW},v1=ü{signature(BODY, OLD)}",
        f"t={NOW}," + ",".join(["v1=0"] * 16) + f",v1={signature(BODY, OLD)}",
        "x" * 5_000 + f",t={NOW},v1={signature(BODY, OLD)}",
    ],
)
def test_every_other_header_is_forged(header: str) -> None:
    with pytest.raises(Forged) as caught:
        check(BODY, header)
    assert signature(BODY, OLD) not in str(caught.value)


@pytest.mark.parametrize(("at", "fits"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_an_old_webhook_cannot_be_replayed_nor_one_from_the_future(at: int, *, fits: bool) -> None:
    header = f"t={NOW + at},v1={signature(BODY, OLD, NOW + at)}"
    if fits:
        check(BODY, header)
        return
    with pytest.raises(Forged, match="tolerance"):
        check(BODY, header)


def test_what_is_taken_is_five_ids_and_a_time() -> None:
    taken = read_event(json.dumps(event()).encode())
    assert taken is not None
    assert (taken.notice_id, taken.object_id, taken.intent_id) == ("evt_1", "pi_1", "pi_1")
    assert (taken.order_id, taken.operation_id) == ("order-1", OPERATION)
    assert taken.occurred_at.timestamp() == NOW
    assert "example.com" not in repr(taken)


@pytest.mark.parametrize("name", sorted(set(TYPES) - set(UNASKED)))
def test_every_type_with_our_metadata_is_taken(name: str) -> None:
    taken = notice_of(event(name, id="ch_1", object="charge", payment_intent="pi_9"))
    assert taken is not None
    assert (taken.type, taken.object_id, taken.intent_id) == (name, "ch_1", "pi_9")


@pytest.mark.parametrize("name", UNASKED)
def test_a_dispute_is_taken_by_its_transaction_for_it_has_no_metadata(name: str) -> None:
    taken = notice_of(event(name, id="du_1", object="dispute", payment_intent="pi_9", metadata={}))
    assert taken is not None
    assert (taken.object_id, taken.intent_id, taken.order_id) == ("du_1", "pi_9", None)
    assert notice_of(event(name, id="du_1", object="dispute", payment_intent=None, metadata={})) is None


@pytest.mark.parametrize("name", REFUND)
def test_a_refund_of_somebody_else_is_taken_by_its_transaction(name: str) -> None:
    taken = notice_of(event(name, id="re_1", object="refund", payment_intent="pi_9", metadata={}))
    assert taken is not None
    assert (taken.object_id, taken.intent_id, taken.order_id) == ("re_1", "pi_9", None)
    assert notice_of(event(name, id="re_1", object="refund", payment_intent=None, metadata={})) is None


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"order_id": "order-1"},
        {"operation_id": str(OPERATION)},
        {"order_id": "order-1", "operation_id": "sub_1"},
        {"order_id": "a b", "operation_id": str(OPERATION)},
        {"order_id": "x" * 65, "operation_id": str(OPERATION)},
        {"order_id": "\u0000", "operation_id": str(OPERATION)},
    ],
)
def test_an_object_without_our_ids_is_not_ours(metadata: dict[str, str] | None) -> None:
    assert notice_of(event(metadata=metadata)) is None


def test_a_type_that_we_do_not_take_is_not_read() -> None:
    assert notice_of({"type": "customer.created"}) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'"payment_intent.succeeded"',
        b'{"type": 1}',
        b'{"type": "payment_intent.succeeded"}',
        b'{"type": "payment_intent.succeeded", "data": {"object": []}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_unreadable_and_raises_nothing_else(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_event(body)


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"id": "a" * 256}, {"id": "e\u0000"}, {"created": "soon"}, {"created": 1e300}, {"created": None}],
)
def test_an_event_with_absurd_fields_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        notice_of({**event(), **change})
    with pytest.raises(Unreadable):
        notice_of(event(id=5))
