"""Every kind of answer that the sandbox gives, each asked for once: every card, every status, every refusal."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from deploy.playbank.methods import METHODS
from tests.conformance.caller import Caller
from tests.conformance.judging import Answer
from tests.eventually import eventually

_INTENTS: Final = "/v1/payment_intents"
_INTENT: Final = "/v1/payment_intents/{intent}"
_REFUND: Final = "/v1/refunds/{refund}"
_BACK: Final = "https://shop.test/back"
_FORM: Final = {"amount": "1250", "currency": "eur", "payment_method_types[0]": "card"}
_CONFIRMED: Final = {**_FORM, "confirm": "true", "payment_method": "pm_card_visa", "capture_method": "manual"}
_WHOLE: Final = {"expand[0]": "latest_charge", "expand[1]": "payment_method"}


def ask_for_every_kind(caller: Caller) -> None:
    """Ask. The answers are the caller's; raises AssertionError where one is of another kind than it must be."""
    for ask in (_cards, _statuses, _actions, _refunds, _lists, _others, _refusals, _keys):
        ask(caller)


def _is(answer: Answer, status: int, code: str | None = None) -> Any:
    assert (answer.status, answer.code) == (status, code), f"{answer.what}: {answer.status} {answer.body}"
    return answer.body


def _cards(caller: Caller) -> None:
    for token, method in METHODS.items():
        form = {**_CONFIRMED, **_WHOLE, "payment_method": token}
        answer = caller.post(_INTENTS, form, what=f"authorize {token}")
        assert answer.status == (402 if method.decline and not method.asks_customer else 200), answer.body
        found = caller.get("/v1/payment_methods/{payment_method}", id_=token, what=f"method {token}")
        _is(found, 200)


def _statuses(caller: Caller) -> None:
    _is(caller.post(_INTENTS, _FORM, what="no method"), 200)
    _is(caller.post(_INTENTS, _FORM | {"payment_method": "pm_card_visa"}, what="not confirmed"), 200)
    everything = {
        "customer": "cus_play_1",
        "description": "two pairs",
        "statement_descriptor_suffix": "ORDER 7",
        "receipt_email": "somebody@shop.test",
        "metadata[order_id]": "o-1",
        "return_url": _BACK,
    }
    _is(caller.post(_INTENTS, _CONFIRMED | _WHOLE | everything, what="everything asked for"), 200)
    _is(caller.post(_INTENTS, _CONFIRMED | _WHOLE | {"capture_method": "automatic"}, what="captured at once"), 200)
    part = _is(caller.post(_INTENTS, _CONFIRMED), 200)["id"]
    capture = {"amount_to_capture": "1000", **_WHOLE}
    _is(caller.post(f"{_INTENT}/capture", capture, part, "captured in part"), 200)
    refused = _is(caller.post(f"{_INTENT}/capture", {}, part, "captured twice"), 400, "payment_intent_unexpected_state")
    assert refused["error"]["payment_intent"]["status"] == "succeeded"
    for reason in ("", "duplicate", "fraudulent", "requested_by_customer", "abandoned"):
        held = _is(caller.post(_INTENTS, _CONFIRMED), 200)["id"]
        form = {"cancellation_reason": reason} if reason else {}
        _is(caller.post(f"{_INTENT}/cancel", form | _WHOLE, held, f"canceled {reason}"), 200)
    declined = caller.post(_INTENTS, _CONFIRMED | {"payment_method": "pm_fault_capture_refused"}).body["id"]
    _is(caller.post(f"{_INTENT}/capture", {}, declined, "capture declined"), 402, "card_declined")
    again = caller.post(_INTENTS, _CONFIRMED | {"payment_method": "pm_card_chargeDeclined"})
    failed = _is(again, 402, "card_declined")["error"]["payment_intent"]["id"]
    _is(caller.get(_INTENT, _WHOLE, failed, "a declined payment"), 200)
    _is(caller.post(f"{_INTENT}/confirm", {"payment_method": "pm_card_visa"}, failed, "confirmed again"), 200)
    _is(caller.post(_INTENT, {"description": "three", "metadata": ""}, failed, "updated"), 200)


def _actions(caller: Caller) -> None:
    for token in ("pm_card_authenticationRequired", "pm_card_threeDSecureRequiredChargeDeclined"):
        for outcome in ("passed", "failed"):
            form = _CONFIRMED | {"payment_method": token, "return_url": _BACK}
            intent = _is(caller.post(_INTENTS, form, what=f"{token} asks"), 200)
            page = intent["next_action"]["redirect_to_url"]["url"]
            assert caller.http.post(page, data={"outcome": outcome}).status_code == 303
            _is(caller.get(_INTENT, _WHOLE, intent["id"], f"{token} {outcome}"), 200)
    _is(caller.post(_INTENTS, _CONFIRMED | {"payment_method": "pm_card_authenticationRequired"}), 200)
    absent = {"payment_method": "pm_card_authenticationRequired", "off_session": "true", "customer": "cus_play_1"}
    _is(caller.post(_INTENTS, _CONFIRMED | absent, what="the customer is absent"), 402, "authentication_required")


def _refunds(caller: Caller) -> None:
    for token in ("pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail"):
        form = _CONFIRMED | {"payment_method": token, "capture_method": "automatic"}
        intent = _is(caller.post(_INTENTS, form), 200)["id"]
        refund = {"payment_intent": intent, "amount": "250", "reason": "duplicate", "metadata[a]": "1"}
        made = _is(caller.post("/v1/refunds", refund, what=f"refund {token}"), 200)
        wanted = {"pm_card_refundFail": "failed"}.get(token, "succeeded")
        eventually(_status_is(caller, made["id"], wanted), f"refund {token} is {wanted}")
        expand = {"expand[0]": "charge", "expand[1]": "payment_intent"}
        _is(caller.get(_REFUND, expand, made["id"], f"refund {token} at its end"), 200)
        _is(caller.post(_REFUND, {"metadata[b]": "2"}, made["id"], "refund updated"), 200)
        _is(caller.get(_INTENT, _WHOLE, intent, f"payment after refund {token}"), 200)
        over = {"payment_intent": intent, "amount": "1251"}
        _is(caller.post("/v1/refunds", over, what="over-refund"), 400)
        _is(caller.post("/v1/refunds", {"charge": f"ch_{intent[3:]}"}, what="the rest"), 200)
    whole = {"payment_intent": _is(caller.post(_INTENTS, _CONFIRMED | {"capture_method": "automatic"}), 200)["id"]}
    _is(caller.post("/v1/refunds", whole, what="all of it"), 200)
    _is(caller.post("/v1/refunds", whole, what="nothing is left"), 400, "charge_already_refunded")
    held = _is(caller.post(_INTENTS, _CONFIRMED), 200)["id"]
    _is(caller.post("/v1/refunds", {"payment_intent": held}, what="not captured"), 400)
    _is(caller.post("/v1/refunds", {}, what="of nothing"), 400, "parameter_missing")


def _status_is(caller: Caller, refund: str, wanted: str) -> Callable[[], bool]:
    def looked_up() -> bool:
        return bool(caller.get(_REFUND, id_=refund, what=f"refund until {wanted}").body["status"] == wanted)

    return looked_up


def _lists(caller: Caller) -> None:
    expand = {"expand[0]": "data.latest_charge", "expand[1]": "data.payment_method"}
    _is(caller.get(_INTENTS, {"limit": "100", **expand}, what="a page of payments"), 200)
    _is(caller.get(_INTENTS, {"created[gte]": "9999999999"}, what="an empty page"), 200)
    page = _is(caller.get("/v1/refunds", {"expand[0]": "data.charge", "limit": "3"}, what="a page of refunds"), 200)
    assert page["has_more"]
    _is(caller.get("/v1/refunds", {"payment_intent": page["data"][0]["payment_intent"]}, what="of one payment"), 200)


def _others(caller: Caller) -> None:
    intent = _is(caller.post(_INTENTS, _CONFIRMED), 200)
    _is(caller.get("/v1/charges/{charge}", id_=intent["latest_charge"], what="a charge"), 200)
    form = {"type": "card", "card[token]": "tok_amex", "metadata[a]": "1"}
    made = _is(caller.post("/v1/payment_methods", form, what="a method is made"), 200)["id"]
    _is(caller.get("/v1/payment_methods/{payment_method}", id_=made, what="a made method"), 200)
    _is(caller.post(_INTENTS, _CONFIRMED | _WHOLE | {"payment_method": made}, what="used once"), 200)
    _is(caller.post(_INTENTS, _CONFIRMED | {"payment_method": made}, what="used twice"), 400)
    asked = {"payment_method": "pm_card_gb"}
    token = _is(caller.post("/v1/test_helpers/confirmation_tokens", asked, what="a token is made"), 200)["id"]
    _is(caller.get("/v1/confirmation_tokens/{confirmation_token}", id_=token, what="a token"), 200)
    by_token = {name: value for name, value in _CONFIRMED.items() if name != "payment_method"}
    _is(caller.post(_INTENTS, by_token | _WHOLE | {"confirmation_token": token}, what="confirmed by token"), 200)
    _is(caller.post(_INTENTS, by_token | {"confirmation_token": token}, what="token used twice"), 400)
    _is(caller.post(_INTENTS, by_token | {"confirmation_token": "x"}, what="no such token"), 400, "resource_missing")


def _refusals(caller: Caller) -> None:
    for path in (_INTENT, "/v1/charges/{charge}", "/v1/payment_methods/{payment_method}", _REFUND):
        _is(caller.get(path, id_="no_such", what=f"missing {path}"), 404, "resource_missing")
    _is(caller.post(_INTENTS, {"currency": "eur"}, what="no amount"), 400, "parameter_missing")
    _is(caller.post(_INTENTS, _FORM | {"colour": "blue"}, what="unknown"), 400, "parameter_unknown")
    _is(caller.post(_INTENTS, _FORM | {"shipping[name]": "A"}, what="not played"), 501, "not_played")
    _is(caller.post(_INTENTS, _FORM | {"amount": "99999999999"}, what="too large"), 400, "amount_too_large")
    _is(caller.post(_INTENTS, _FORM | {"payment_method": "pm_no"}, what="no such method"), 400, "resource_missing")
    unauthorized = caller.http.get(_INTENTS, headers={"Stripe-Version": "2026-08-26.dahlia"})
    assert unauthorized.status_code == 401
    caller.answers.append(Answer("no key", "get", _INTENTS, 401, unauthorized.json(), unauthorized.headers))


def _keys(caller: Caller) -> None:
    faulty = _CONFIRMED | {"payment_method": "pm_fault_500_after"}
    for what in ("a 500", "the same 500"):
        answer = caller.post(_INTENTS, faulty, what=what, key="k-500")
        assert (answer.status, answer.body["error"]["type"]) == (500, "api_error")
    other = caller.post(_INTENTS, _CONFIRMED, what="other parameters", key="k-500")
    assert (other.status, other.body["error"]["type"]) == (400, "idempotency_error")
    limited = _CONFIRMED | {"payment_method": "pm_fault_429"}
    _is(caller.post(_INTENTS, limited, what="too many requests", key="k-429"), 429, "rate_limit")
    slow = _CONFIRMED | {"payment_method": "pm_fault_slow_3s"}
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(caller.post, _INTENTS, slow, "", "two at once", "k-slow") for _ in range(2)]
        done, refused = sorted((request.result() for request in both), key=lambda answer: answer.status)
    _is(done, 200)
    _is(refused, 409, "idempotency_key_in_use")
