"""Every kind of answer that the sandbox gives, each asked for once: every card, every status, every refusal."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from deploy.playbank.cards import DISPUTES
from deploy.playbank.methods import METHODS
from tests.conformance.caller import Caller
from tests.conformance.judging import Answer
from tests.eventually import eventually

_INTENTS: Final = "/v1/payment_intents"
_INTENT: Final = "/v1/payment_intents/{intent}"
_REFUND: Final = "/v1/refunds/{refund}"
_DISPUTES: Final = "/v1/disputes"
_DISPUTE: Final = "/v1/disputes/{dispute}"
_WARNINGS: Final = "/v1/radar/early_fraud_warnings"
_BACK: Final = "https://shop.test/back"
_FORM: Final = {"amount": "1250", "currency": "eur", "payment_method_types[0]": "card"}
_CONFIRMED: Final = {**_FORM, "confirm": "true", "payment_method": "pm_card_visa", "capture_method": "manual"}
_WHOLE: Final = {"expand[0]": "latest_charge", "expand[1]": "payment_method"}
_REFUND_WHOLE: Final = {"expand[0]": "charge", "expand[1]": "payment_intent"}
_EXPANDED: Final = {"expand[0]": "data.charge", "expand[1]": "data.payment_intent"}


def ask_for_every_kind(caller: Caller) -> None:
    """Ask. The answers are the caller's; raises AssertionError where one is of another kind than it must be."""
    for ask in (_cards, _statuses, _actions, _debits, _refunds, _disputes, _lists, _others, _refusals, _keys):
        ask(caller)


def _is(answer: Answer, status: int, code: str | None = None) -> Any:
    assert (answer.status, answer.code) == (status, code), f"{answer.what}: {answer.status} {answer.body}"
    return answer.body


def _cards(caller: Caller) -> None:
    for token, method in METHODS.items():
        form = {**_CONFIRMED, **_of_type(method.type), **_WHOLE, "payment_method": token}
        answer = caller.post(_INTENTS, form, what=f"authorize {token}")
        assert answer.status == (402 if method.decline and not method.asks_customer else 200), answer.body
        found = caller.get("/v1/payment_methods/{payment_method}", id_=token, what=f"method {token}")
        _is(found, 200)


def _of_type(name: str) -> dict[str, str]:
    """Return what a payment with a method of a type has in place of a card's."""
    if name == "card":
        return {}
    currency = "usd" if name == "us_bank_account" else "eur"
    captured = {"capture_method": "automatic_async", "payment_method_options[card][capture_method]": "manual"}
    return {**captured, "currency": currency, "payment_method_types[0]": name, "customer": "cus_play_1"} | {
        "return_url": _BACK
    }


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
    cards = ("pm_card_authenticationRequired", "pm_card_threeDSecureRequiredChargeDeclined")
    for token in (*cards, "pm_redirect", "pm_redirect_declined"):
        for outcome in ("passed", "failed"):
            form = _CONFIRMED | _of_type(METHODS[token].type) | {"payment_method": token, "return_url": _BACK}
            intent = _is(caller.post(_INTENTS, form, what=f"{token} asks"), 200)
            page = intent["next_action"]["redirect_to_url"]["url"]
            assert caller.http.post(page, data={"outcome": outcome}).status_code == 303
            _is(caller.get(_INTENT, _WHOLE, intent["id"], f"{token} {outcome}"), 200)
    _is(caller.post(_INTENTS, _CONFIRMED | {"payment_method": "pm_card_authenticationRequired"}), 200)
    absent = {"payment_method": "pm_card_authenticationRequired", "off_session": "true", "customer": "cus_play_1"}
    _is(caller.post(_INTENTS, _CONFIRMED | absent, what="the customer is absent"), 402, "authentication_required")


def _debits(caller: Caller) -> None:
    """Debits are decided, refunded, disputed; and refused without a mandate, or for a payment of another kind."""
    for token in ("pm_debit_days", "pm_debit_days_declined", "pm_usBankAccount_success", "pm_usBankAccount_noAccount"):
        form = _CONFIRMED | _of_type(METHODS[token].type) | {"payment_method": token}
        intent = _is(caller.post(_INTENTS, form | _WHOLE, what=f"{token} processing"), 200)["id"]
        eventually(_decided(caller, intent), f"{token} is decided")
        if METHODS[token].later_decline is None:
            _is(caller.post("/v1/refunds", {"payment_intent": intent, **_REFUND_WHOLE}, what=f"refund {token}"), 200)
    debit = _CONFIRMED | _of_type("sepa_debit") | {"payment_method": "pm_debit_days"}
    nobody = {name: value for name, value in debit.items() if name != "customer"}
    _is(caller.post(_INTENTS, nobody, what="no mandate"), 400)
    _is(caller.post(_INTENTS, debit | {"capture_method": "manual"}, what="a debit is not held"), 400)
    _is(caller.post(_INTENTS, debit | {"currency": "usd"}, what="a debit in another currency"), 400)
    _is(caller.post(_INTENTS, debit | {"payment_method_types[0]": "card"}, what="a debit is no card"), 400)
    token = _is(caller.post("/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_debit_days"}), 200)["id"]
    by_token = {name: value for name, value in nobody.items() if name != "payment_method"}
    _is(caller.post(_INTENTS, by_token | {"confirmation_token": token}, what="a debit by token"), 200)
    _is(caller.get("/v1/confirmation_tokens/{confirmation_token}", id_=token, what="its token"), 200)
    for status, payment in (("canceled", "pm_usBankAccount_processing"), ("processing", "pm_failedDelayed_de")):
        form = _CONFIRMED | _of_type(METHODS[payment].type) | {"payment_method": payment}
        intent = _is(caller.post(_INTENTS, form), 200)["id"]
        answer = caller.post(f"{_INTENT}/cancel", {}, intent, f"{payment} is cancelled while it is processing")
        assert (answer.status == 200) is (status == "canceled"), answer.body


def _decided(caller: Caller, intent: str) -> Callable[[], bool]:
    def looked_up() -> bool:
        return bool(caller.get(_INTENT, _WHOLE, intent, "until it is decided").body["status"] != "processing")

    return looked_up


def _disputes(caller: Caller) -> None:
    texts = ("winning_evidence", "losing_evidence", "escalate_inquiry_evidence", "a parcel number", "")
    whole = {"expand[0]": "charge", "expand[1]": "payment_intent"}
    for card in DISPUTES:
        for text in texts:
            form = _CONFIRMED | {"payment_method": f"pm_card_{card}", "capture_method": "automatic"}
            intent = _is(caller.post(_INTENTS, form), 200)["id"]
            page = _is(caller.get(_DISPUTES, {"payment_intent": intent, **_EXPANDED}, what=f"disputes {card}"), 200)
            dispute = page["data"][0]["id"]
            evidence = {"evidence[uncategorized_text]": text, "metadata[a]": "1", **whole}
            path, form = (_DISPUTE, evidence) if text else (f"{_DISPUTE}/close", whole)
            ended = _is(caller.post(path, form, dispute, f"{card} {text or 'closed'}"), 200)
            _is(caller.get(_DISPUTE, id_=dispute, what=f"{card} after {text}"), 200)
            again = caller.post(f"{_DISPUTE}/close", {}, dispute, f"{card} after {text}, closed")
            assert (again.status == 400) is (ended["status"] in {"won", "lost", "warning_closed"}), again.body
    _is(caller.post("/v1/refunds", {"payment_intent": intent}, what="a disputed payment"), 400, "charge_disputed")
    warned = _CONFIRMED | {"payment_method": "pm_card_createIssuerFraudRecord", "capture_method": "automatic"}
    _is(caller.post(_INTENTS, warned), 200)
    warning = _is(caller.get(_WARNINGS, {"limit": "1", **_EXPANDED}, what="warnings"), 200)["data"][0]["id"]
    _is(caller.get(f"{_WARNINGS}/{{early_fraud_warning}}", whole, warning, "a warning"), 200)


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
    warning = f"{_WARNINGS}/{{early_fraud_warning}}"
    for path in (_INTENT, "/v1/charges/{charge}", "/v1/payment_methods/{payment_method}", _REFUND, _DISPUTE, warning):
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
