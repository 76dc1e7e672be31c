"""The contract is valid, and the sandbox answers each of its examples as it says."""

from collections.abc import Callable
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from deploy.stockhouse.bodies import CallKind
from deploy.stockhouse.faults import Fault
from tests.stockhouse.client import HOLD, RESTOCK
from tests.stockhouse.clocked import Clocked
from tests.stockhouse.contract import Example, document, examples, operations, wrong_with

STOCK = {"MUG-BLUE": 3, "TEA-EARL-GREY": 10}
BODY = next(example.request for example in examples() if (example.operation, example.name) == ("reserve", "held"))
PLAIN = {"order_id": "A-1"}


def held(house: Clocked) -> None:
    assert house.call("reserve", BODY, key="first").status == 200
    house.clock.minutes(1)


def lapsed(house: Clocked) -> None:
    held(house)
    house.clock.minutes(16)


def released(house: Clocked) -> None:
    held(house)
    assert house.call("release", PLAIN).status == 200


def confirmed(house: Clocked) -> None:
    held(house)
    assert house.call("confirm", PLAIN).status == 200
    house.clock.minutes(2)


def restocked(house: Clocked) -> None:
    confirmed(house)
    body = next(one.request for one in examples() if (one.operation, one.name) == ("restock", "restocked"))
    assert house.call("restock", body, thing=RESTOCK).status == 200


def nothing(_: Clocked) -> None:
    """Leave it as it is."""


def minute_later(house: Clocked) -> None:
    house.clock.minutes(1)


def too_late(house: Clocked) -> None:
    house.clock.minutes(16)


def at_noon(house: Clocked) -> None:
    held(house)
    house.clock.minutes(0)


BEFORE: dict[tuple[str, str], Callable[[Clocked], None]] = {
    ("about", "ready"): nothing,
    ("reserve", "held"): nothing,
    ("reserve", "short"): nothing,
    ("reserve", "lapsed"): too_late,
    ("reserve", "released"): released,
    ("reserve", "other_content"): held,
    ("reserve", "key_reused"): held,
    ("reserve", "invalid"): nothing,
    ("hold", "found"): held,
    ("hold", "unknown_hold"): nothing,
    ("confirm", "confirmed"): held,
    ("confirm", "unknown_hold"): nothing,
    ("confirm", "lapsed"): lapsed,
    ("confirm", "released"): released,
    ("release", "released"): held,
    ("release", "never_made"): minute_later,
    ("release", "was_lapsed"): lapsed,
    ("release", "confirmed"): confirmed,
    ("extend", "extended"): held,
    ("extend", "earlier"): held,
    ("extend", "unknown_hold"): nothing,
    ("extend", "lapsed"): lapsed,
    ("extend", "released"): released,
    ("extend", "confirmed"): confirmed,
    ("restock", "restocked"): confirmed,
    ("restock", "unknown_hold"): nothing,
    ("restock", "not_confirmed"): held,
    ("restock", "exceeds_sold"): confirmed,
    ("restock", "other_content"): restocked,
    ("restocked", "found"): restocked,
    ("restocked", "unknown_restock"): nothing,
    ("batch", "mixed"): nothing,
    ("holds", "page"): at_noon,
    ("stock", "page"): held,
}
"""What was done before the call of each example. `key_running` needs two calls at once: test_keys.py."""


def test_the_contract_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_every_example_is_shown_to_work() -> None:
    assert {(one.operation, one.name) for one in examples()} == {*BEFORE, ("reserve", "key_running")}
    asked = {(name, example) for name, told in operations().items() for example in told.request.get("examples", {})}
    assert asked <= BEFORE.keys()


@pytest.mark.parametrize(
    "example", [one for one in examples() if one.name != "key_running"], ids=lambda one: f"{one.operation}-{one.name}"
)
def test_an_example_is_answered_as_the_contract_says(example: Example, house: Clocked) -> None:
    house.stock(STOCK)
    BEFORE[example.operation, example.name](house)
    thing = RESTOCK if example.operation in {"restock", "restocked"} else HOLD
    key = "first" if example.name == "key_reused" else None

    answer = house.call(example.operation, example.request, thing=thing, key=key)

    assert answer.status == int(example.status)
    assert _by_key(answer.body) == _by_key(example.answer)


@pytest.mark.parametrize("name", operations())
def test_requests_of_examples_follow_their_schema(name: str) -> None:
    request = operations()[name].request
    for example, shown in request.get("examples", {}).items():
        assert bool(wrong_with(request["schema"], shown["value"])) == (example == "invalid"), example


def test_everything_is_described() -> None:
    """A field without a word on what it means is one that two sides read in two ways."""
    missing = [
        f"{name}.{field}"
        for name, schema in document()["components"]["schemas"].items()
        for field, told in schema.get("properties", {}).items()
        if not _described(told)
    ]

    assert missing == []


def test_the_kinds_of_calls_are_those_of_the_contract() -> None:
    assert document()["components"]["schemas"]["Call"]["properties"]["call"]["enum"] == list(CallKind)
    assert {kind.value for kind in CallKind} < operations().keys()
    assert len(Fault) == 12, "README.md lists them"


def _described(told: dict[str, Any]) -> bool:
    if "description" in told:
        return True
    reference = told.get("$ref")
    return reference is not None and "description" in document()["components"]["schemas"][reference.rpartition("/")[2]]


def _by_key(body: Any) -> Any:
    """Return a body whose answers of a batch are in one order."""
    return sorted(body["answers"], key=lambda answer: str(answer["key"])) if "answers" in body else body
