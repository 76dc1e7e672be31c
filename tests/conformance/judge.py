"""Judges answers by the responses of an OpenAPI specification. A program of its own: it runs where jsonschema is.

`judge.py SPECIFICATION`; each line of stdin is `{"method", "path", "status", "body"}`, each line of stdout the list of
violations. Stricter than the specification says: an object has no property that it does not name, and an object of
COMPLETE has every property that may be null, as Stripe sends it; only those of SENT_SELDOM may be left out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

COMPLETE = (
    "payment_intent",
    "charge",
    "refund",
    "payment_method",
    "payment_method_card",
    "payment_method_details_card",
    "payment_method_details_ideal",
    "payment_method_details_sepa_debit",
    "payment_method_details_us_bank_account",
    "payment_method_ideal",
    "payment_method_sepa_debit",
    "payment_method_us_bank_account",
    "balance_transaction",
    "dispute",
    "dispute_evidence",
    "dispute_evidence_details",
    "dispute_payment_method_details_card",
)
SENT_SELDOM = {
    "payment_intent": {"managed_payments"},  # for accounts with managed payments only
    "charge": {"refunds"},  # not part of a charge since API version 2022-11-15
}
_DEEP_MAX = 8


def main() -> None:
    """Read answers until there are no more."""
    specification = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name in COMPLETE:
        _complete(specification["components"]["schemas"][name], SENT_SELDOM.get(name, set()))
    _translate(specification)
    registry = Registry().with_resource("urn:spec", DRAFT202012.create_resource(specification))
    validators: dict[str, Draft202012Validator] = {}
    for line in sys.stdin:
        answer = json.loads(line)
        pointer = _pointer(specification, answer)
        if pointer not in validators:
            validators[pointer] = Draft202012Validator({"$ref": f"urn:spec#{pointer}"}, registry=registry)
        found = [text for error in validators[pointer].iter_errors(answer["body"]) for text in _told(error)]
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _pointer(specification: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    responses = specification["paths"][answer["path"]][answer["method"]]["responses"]
    status = str(answer["status"])
    status = status if status in responses else "default"
    parts = ("paths", answer["path"], answer["method"], "responses", status, "content", "application/json", "schema")
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _complete(schema: dict[str, Any], seldom: set[str]) -> None:
    may_be_null = {name for name, of in schema["properties"].items() if of.get("nullable")}
    schema["required"] = sorted({*schema.get("required", ()), *may_be_null} - seldom)


def _translate(schema: Any) -> None:
    """Turn OpenAPI 3.0 into JSON Schema: `nullable`, and no property beyond those that are named."""
    if isinstance(schema, list):
        for part in schema:
            _translate(part)
    if not isinstance(schema, dict):
        return
    for part in schema.values():
        _translate(part)
    if schema.get("nullable") is True:
        if isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list):
            schema["enum"] = [*schema["enum"], None]
        if isinstance(schema.get("anyOf"), list):
            schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("properties"), dict) and schema.get("type") in ("object", ["object", "null"]):
        schema.setdefault("additionalProperties", False)


def _told(error: ValidationError, deep: int = 0) -> Iterator[str]:
    """Return what is wrong, at the innermost place: of alternatives, what the nearest of them misses."""
    if error.context and deep < _DEEP_MAX:
        whole = [inner for inner in error.context if inner.validator != "type"] or error.context
        for inner in whole[:3]:
            yield from _told(inner, deep + 1)
        return
    yield f"{error.json_path}: {error.message[:300]}"


if __name__ == "__main__":
    main()
