"""The contract as data, and a check of answers against it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import deploy

FILE = Path(deploy.__file__).parent / "contracts" / "inventory.openapi.yaml"
_URN = "urn:contract"
_METHODS = ("get", "put", "post")


class Operation(NamedTuple):
    """One call of the contract."""

    name: str
    method: str
    path: str
    request: dict[str, Any]
    answers: dict[str, Any]


class Example(NamedTuple):
    """An answer that the contract shows. request: the body that brings it; None: there is none of that name."""

    operation: str
    name: str
    status: str
    request: Any
    answer: Any


@cache
def document() -> dict[str, Any]:
    """Read the contract."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


@cache
def operations() -> dict[str, Operation]:
    """Return every call by its operationId, references resolved."""
    found = {}
    for path, item in document()["paths"].items():
        for method in _METHODS:
            if method in item:
                told = item[method]
                request = told.get("requestBody", {}).get("content", {}).get("application/json", {})
                answers = {status: _resolved(answer) for status, answer in told["responses"].items()}
                found[told["operationId"]] = Operation(told["operationId"], method, path, request, answers)
    return found


def examples() -> Iterator[Example]:
    """Return every answer that the contract shows."""
    for operation in operations().values():
        asked = operation.request.get("examples", {})
        for status, answer in operation.answers.items():
            for content in answer["content"].values():
                for name, example in content.get("examples", {}).items():
                    request = asked[name]["value"] if name in asked else None
                    yield Example(operation.name, name, status, request, example["value"])


def wrong_with(schema: dict[str, Any], value: object) -> list[str]:
    """Return what is wrong with a value. schema: a reference into the contract."""
    validator = Draft202012Validator(
        {"$ref": _URN + schema["$ref"]}, registry=_registry(), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def wrong_with_answer(operation: str, status: int, content_type: str, value: object) -> list[str]:
    """Return where an answer does not follow the contract."""
    told = operations()[operation].answers
    answer = told.get(str(status), told.get("default"))
    assert answer is not None
    content = answer["content"].get(content_type)
    if content is None:
        return [f"{operation} is not answered {status} with {content_type}"]
    return wrong_with(content["schema"], value)


@cache
def _registry() -> Any:
    return Registry().with_resource(_URN, Resource.from_contents(document(), default_specification=DRAFT202012))


def _resolved(answer: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in answer:
        return answer
    found: Any = document()
    for part in answer["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found
