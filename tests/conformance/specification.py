"""The parameters of our endpoints, as the OpenAPI specification has them: every name that a form can hold."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

OURS: Final = (
    ("post", "/v1/payment_intents"),
    ("get", "/v1/payment_intents"),
    ("get", "/v1/payment_intents/{intent}"),
    ("post", "/v1/payment_intents/{intent}"),
    ("post", "/v1/payment_intents/{intent}/confirm"),
    ("post", "/v1/payment_intents/{intent}/capture"),
    ("post", "/v1/payment_intents/{intent}/cancel"),
    ("get", "/v1/charges/{charge}"),
    ("post", "/v1/payment_methods"),
    ("get", "/v1/payment_methods/{payment_method}"),
    ("post", "/v1/test_helpers/confirmation_tokens"),
    ("get", "/v1/confirmation_tokens/{confirmation_token}"),
    ("post", "/v1/refunds"),
    ("get", "/v1/refunds"),
    ("get", "/v1/refunds/{refund}"),
    ("post", "/v1/refunds/{refund}"),
    ("get", "/v1/disputes"),
    ("get", "/v1/disputes/{dispute}"),
    ("post", "/v1/disputes/{dispute}"),
    ("post", "/v1/disputes/{dispute}/close"),
    ("get", "/v1/radar/early_fraud_warnings"),
    ("get", "/v1/radar/early_fraud_warnings/{early_fraud_warning}"),
    ("get", "/v1/events"),
    ("get", "/v1/events/{id}"),
)
_LONGER_THAN_ANY = 5000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name of a form. values: valid ones; wrong: invalid ones, whatever the rest of the form says."""

    name: str
    values: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def root(self) -> str:
        """The first part of the name."""
        return self.name.partition("[")[0]


def load(path: Path) -> Mapping[str, Any]:
    """Read a specification."""
    loaded: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def parameters(specification: Mapping[str, Any], method: str, path: str) -> list[Parameter]:
    """Return every parameter of an endpoint, each once."""
    operation = specification["paths"][path][method]
    found: dict[str, Parameter] = {}
    for query in operation.get("parameters", ()):
        if query["in"] == "query":
            _collect(found, query["schema"], query["name"])
    body = operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
    for name, schema in body.get("schema", {}).get("properties", {}).items():
        _collect(found, schema, name)
    return list(found.values())


def expandable(specification: Mapping[str, Any], method: str, path: str) -> tuple[str, ...]:
    """Return every property of an endpoint's answer that can be expanded, as `expand` wants it."""
    schema = specification["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    prefix = ""
    if "$ref" not in schema:
        schema, prefix = schema["properties"]["data"]["items"], "data."
    object_ = specification["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return tuple(f"{prefix}{name}" for name, of in object_["properties"].items() if "x-expansionResources" in of)


def _collect(found: dict[str, Parameter], schema: Mapping[str, Any], name: str) -> None:
    for parameter in _flat(schema, name):
        before = found.get(parameter.name)
        found[parameter.name] = parameter if before is None else _either(before, parameter)


def _either(one: Parameter, other: Parameter) -> Parameter:
    """Join two readings of one name: a value is valid if it is in one of them, and wrong only if it is in both."""
    wrong = (value for value in one.wrong if value in other.wrong)
    return Parameter(one.name, tuple(dict.fromkeys((*one.values, *other.values))), tuple(wrong))


def _flat(schema: Mapping[str, Any], name: str) -> Iterator[Parameter]:
    if "anyOf" in schema:
        for alternative in schema["anyOf"]:
            yield from _flat(alternative, name)
    elif schema.get("properties"):
        for inner, of in schema["properties"].items():
            yield from _flat(of, f"{name}[{inner}]")
    elif schema.get("type") == "object":
        yield Parameter(f"{name}[k]", ("v",), ())
    elif schema.get("type") == "array":
        yield from _flat(schema["items"], f"{name}[0]")
    elif "enum" in schema:
        yield Parameter(name, tuple(schema["enum"]), ("no_such_word",))
    elif schema.get("type") == "boolean":
        yield Parameter(name, ("true", "false"), ("perhaps",))
    elif schema.get("type") in {"integer", "number"}:
        yield Parameter(name, ("1",), ("one",))
    else:
        longest = schema.get("maxLength", _LONGER_THAN_ANY)
        yield Parameter(name, ("x",), ("x" * (longest + 1),))
