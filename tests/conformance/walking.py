"""Every parameter that the specification knows for our endpoints, sent to the sandbox.

A valid value is taken, refused with Stripe's error, or answered `not_played`; never refused as unknown or invalid. An
invalid value of a parameter that is taken is refused.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.caller import Caller
from tests.conformance.judging import Answer
from tests.conformance.specification import OURS, Parameter, expandable, parameters

_INTENT: Final = "/v1/payment_intents/{intent}"
_DISPUTE: Final = "/v1/disputes/{dispute}"
_WARNINGS: Final = "/v1/radar/early_fraud_warnings"
_CARD: Final = {"payment_method_types[0]": "card"}
_HELD: Final = {"amount": "500", "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa", **_CARD}
_AUTOMATIC: Final = {
    "automatic_payment_methods[enabled]": "true",
    "automatic_payment_methods[allow_redirects]": "never",
    "return_url": "https://shop.test/back",
}
_MANUAL: Final = {**_HELD, "capture_method": "manual"}

# Valid values that a specification cannot tell: ids that exist, and texts of a form of their own.
_SAMPLES: Final = {
    "amount": "400",
    "currency": "eur",
    "customer": "cus_play_1",
    "description": "two pairs",
    "payment_method": "pm_card_mastercard",
    "receipt_email": "somebody@shop.test",
    "return_url": "https://shop.test/back",
    "statement_descriptor": "ORDER 7",
    "statement_descriptor_suffix": "ORDER 7",
    "card[token]": "tok_mastercard",
    "payment_method_types[0]": "card",
}
# Of two parameters that exclude each other, the one of the base that gives way.
_REPLACES: Final = {"charge": "payment_intent", "confirmation_token": "payment_method"}
_INVALID_CODES: Final = frozenset({"parameter_unknown", "parameter_invalid_integer", "parameter_invalid_empty"})


@dataclass
class Walk:
    """What came of it. counts: by what the sandbox answered. faults: what must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    faults: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Walker:
    """Walks all endpoints of a sandbox."""

    def __init__(self, specification: Mapping[str, Any], caller: Caller) -> None:
        self._specification = specification
        self._caller = caller
        self.walk = Walk()

    def all(self, every: int = 1) -> Walk:
        """Walk every parameter of every endpoint, or in a short form each `every`-th of an endpoint."""
        known = {endpoint: parameters(self._specification, *endpoint) for endpoint in OURS}
        roots = {endpoint: {parameter.root for parameter in found} for endpoint, found in known.items()}
        everywhere = set().union(*roots.values())
        for (method, path), found in known.items():
            for parameter in found[::every]:
                self._parameter(method, path, parameter)
            for foreign in sorted(everywhere - roots[method, path])[::every]:
                self._foreign(method, path, foreign)
        for path in sorted(self._specification["paths"])[::every]:
            for method in self._specification["paths"][path]:
                if (method, path) not in OURS:
                    self._elsewhere(method, path)
        return self.walk

    def _elsewhere(self, method: str, path: str) -> None:
        """Ask for an endpoint that Stripe has and the sandbox does not."""
        answer = self._caller.other(method, path)
        self.walk.counts["endpoints not played"] += 1
        if (answer.status, answer.code) != (501, "not_played"):
            self.walk.faults.append(f"{answer.what} is Stripe's, and was answered {answer.status} {answer.code}")

    def _foreign(self, method: str, path: str, name: str) -> None:
        """Send a parameter of another endpoint: here Stripe does not know it."""
        answer = self._send(method, path, name, "x", f"{method.upper()} {path} {name} of another endpoint")
        self.walk.counts["unknown here"] += 1
        if (answer.status, answer.code) != (400, "parameter_unknown"):
            self.walk.faults.append(f"{answer.what} is unknown, and was answered {answer.status} {answer.code}")

    def _parameter(self, method: str, path: str, parameter: Parameter) -> None:
        where = f"{method.upper()} {path} {parameter.name}"
        values = self._values(method, path, parameter)
        ends = [self._valid(where, method, path, parameter.name, value) for value in values]
        best = "taken" if "taken" in ends else ends[0]
        self.walk.counts[best] += 1
        if best == "refused":
            self.walk.refused.add(where)
        if best != "taken":
            return
        self.walk.taken.add(where)
        for wrong in parameter.wrong:
            answer = self._send(method, path, parameter.name, wrong, f"{where}={wrong[:20]}")
            if answer.status != 400:
                self.walk.faults.append(f"{where}={wrong[:20]} is invalid, and was answered {answer.status}")

    def _values(self, method: str, path: str, parameter: Parameter) -> tuple[str, ...]:
        if parameter.name == "expand[0]":
            return expandable(self._specification, method, path) or ("id",)
        exists = _EXISTING.get((path, parameter.name))
        if exists is not None:
            return (exists(self._caller),)
        sample = _SAMPLES.get(parameter.name)
        return parameter.values if sample is None else (sample, *(value for value in parameter.values if value == ""))

    def _valid(self, where: str, method: str, path: str, name: str, value: str) -> str:
        answer = self._send(method, path, name, value, f"{where}={value}")
        if answer.status == 200:
            shown = answer.body.get(name, value)
            if value and str(shown) != value:
                self.walk.faults.append(f"{where}={value} was taken, and the answer shows {shown}")
            return "taken"
        if answer.status == 501 and answer.code == "not_played":
            return "not_played"
        error = answer.body.get("error", {})
        invalid = answer.code in _INVALID_CODES or str(error.get("message", "")).startswith("Invalid ")
        if answer.status not in {400, 402, 404} or invalid:
            self.walk.faults.append(f"{where}={value} is valid, and was answered {answer.status} {answer.body}")
        return "refused"

    def _send(self, method: str, path: str, name: str, value: str, what: str) -> Answer:
        self.walk.requests += 1
        base, id_ = _BASES[method, path](self._caller)
        if name.startswith("automatic_payment_methods["):
            base = {key: of for key, of in base.items() if key not in _CARD} | _AUTOMATIC
        replaced = _REPLACES.get(name) if method == "post" else None
        base = {key: of for key, of in base.items() if key != replaced}
        if method == "get":
            return self._caller.get(path, base | {name: value}, id_, what)
        return self._caller.post(path, base | {name: value}, id_, what)


def _made(caller: Caller, form: Mapping[str, str]) -> str:
    answer = caller.post("/v1/payment_intents", form, what="a payment to walk on")
    assert answer.status == 200, answer.body
    return str(answer.body["id"])


def _refund(caller: Caller) -> str:
    intent = _made(caller, _HELD)
    return str(caller.post("/v1/refunds", {"payment_intent": intent, "amount": "1"}).body["id"])


def _token(caller: Caller) -> str:
    return str(caller.post("/v1/test_helpers/confirmation_tokens", {}).body["id"])


def _dispute(caller: Caller) -> str:
    intent = _made(caller, _HELD | {"payment_method": "pm_card_createDispute"})
    return str(caller.get("/v1/disputes", {"payment_intent": intent}).body["data"][0]["id"])


def _warning(caller: Caller) -> str:
    intent = _made(caller, _HELD | {"payment_method": "pm_card_createIssuerFraudRecord"})
    return str(caller.get(_WARNINGS, {"payment_intent": intent}).body["data"][0]["id"])


def _event(caller: Caller) -> str:
    _made(caller, _HELD)
    return str(caller.get("/v1/events", {"limit": "1"}).body["data"][0]["id"])


Base = tuple[dict[str, str], str]
_BASES: Final[Mapping[tuple[str, str], Callable[[Caller], Base]]] = {
    ("post", "/v1/payment_intents"): lambda _: (dict(_HELD), ""),
    ("get", "/v1/payment_intents"): lambda _: ({"limit": "2"}, ""),
    ("get", _INTENT): lambda caller: ({}, _made(caller, _MANUAL)),
    ("post", _INTENT): lambda caller: ({}, _made(caller, _MANUAL)),
    ("post", f"{_INTENT}/confirm"): lambda caller: (
        {"payment_method": "pm_card_visa"},
        _made(caller, {"amount": "500", "currency": "eur", **_CARD}),
    ),
    ("post", f"{_INTENT}/capture"): lambda caller: ({}, _made(caller, _MANUAL)),
    ("post", f"{_INTENT}/cancel"): lambda caller: ({}, _made(caller, _MANUAL)),
    ("get", "/v1/charges/{charge}"): lambda caller: ({}, f"ch_{_made(caller, _HELD)[3:]}"),
    ("post", "/v1/payment_methods"): lambda _: ({"type": "card", "card[token]": "tok_visa"}, ""),
    ("get", "/v1/payment_methods/{payment_method}"): lambda _: ({}, "pm_card_visa"),
    ("post", "/v1/test_helpers/confirmation_tokens"): lambda _: ({}, ""),
    ("get", "/v1/confirmation_tokens/{confirmation_token}"): lambda caller: ({}, _token(caller)),
    ("post", "/v1/refunds"): lambda caller: ({"payment_intent": _made(caller, _HELD)}, ""),
    ("get", "/v1/refunds"): lambda _: ({"limit": "2"}, ""),
    ("get", "/v1/refunds/{refund}"): lambda caller: ({}, _refund(caller)),
    ("post", "/v1/refunds/{refund}"): lambda caller: ({}, _refund(caller)),
    ("get", "/v1/disputes"): lambda _: ({"limit": "2"}, ""),
    ("get", _DISPUTE): lambda caller: ({}, _dispute(caller)),
    ("post", _DISPUTE): lambda caller: ({}, _dispute(caller)),
    ("post", f"{_DISPUTE}/close"): lambda caller: ({}, _dispute(caller)),
    ("get", _WARNINGS): lambda _: ({"limit": "2"}, ""),
    ("get", f"{_WARNINGS}/{{early_fraud_warning}}"): lambda caller: ({}, _warning(caller)),
    ("get", "/v1/events"): lambda _: ({"limit": "2"}, ""),
    ("get", "/v1/events/{id}"): lambda caller: ({}, _event(caller)),
}

# Parameters whose value is the id of something that exists.
_EXISTING: Final[Mapping[tuple[str, str], Callable[[Caller], str]]] = {
    ("/v1/payment_intents", "starting_after"): lambda caller: _made(caller, _HELD),
    ("/v1/payment_intents", "ending_before"): lambda caller: _made(caller, _HELD),
    ("/v1/payment_intents", "confirmation_token"): _token,
    (f"{_INTENT}/confirm", "confirmation_token"): _token,
    ("/v1/events", "starting_after"): _event,
    ("/v1/events", "ending_before"): _event,
    ("/v1/refunds", "starting_after"): _refund,
    ("/v1/refunds", "ending_before"): _refund,
    ("/v1/refunds", "payment_intent"): lambda caller: _made(caller, _HELD),
    ("/v1/disputes", "starting_after"): _dispute,
    ("/v1/disputes", "ending_before"): _dispute,
    ("/v1/disputes", "payment_intent"): lambda caller: _made(caller, _HELD),
    ("/v1/disputes", "charge"): lambda caller: f"ch_{_made(caller, _HELD)[3:]}",
    (_WARNINGS, "starting_after"): _warning,
    (_WARNINGS, "ending_before"): _warning,
    (_WARNINGS, "payment_intent"): lambda caller: _made(caller, _HELD),
    (_WARNINGS, "charge"): lambda caller: f"ch_{_made(caller, _HELD)[3:]}",
    ("/v1/refunds", "charge"): lambda caller: f"ch_{_made(caller, _HELD)[3:]}",
}
