"""Manifests of operators' kinds, held against the operators' own definitions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Schemas = Mapping[tuple[str, str], Any]


def read_definitions(files: Iterable[Path]) -> Schemas:
    """Return the schema of each version of each kind, by (apiVersion, kind)."""
    found = {}
    for file in files:
        for document in yaml.safe_load_all(file.read_text("utf-8")):
            spec = document["spec"]
            for version in spec["versions"]:
                name = f"{spec['group']}/{version['name']}"
                found[name, spec["names"]["kind"]] = _closed(version["schema"]["openAPIV3Schema"], top=True)
    return found


def faults(manifest: Mapping[str, Any], schemas: Schemas) -> list[str]:
    """Return what is wrong with a manifest; a kind that nobody defines is."""
    schema = schemas.get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        return [f"nobody defines {manifest['kind']} of {manifest['apiVersion']}"]
    errors = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    return [
        f"{manifest['kind']} {manifest['metadata']['name']}, {error.json_path}: {error.message}" for error in errors
    ]


def _closed(schema: Any, *, top: bool = False) -> Any:
    """Return the schema such that fields that it does not name are faults: an API server would drop them silently."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {
        name: {key: _closed(one) for key, one in value.items()} if name == "properties" else _closed(value)
        for name, value in schema.items()
        if name not in {"description", "format"}
    }
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not open_ended:
        closed["additionalProperties"] = False
    if top:
        closed["properties"]["metadata"] = {"type": "object"}
    return closed
