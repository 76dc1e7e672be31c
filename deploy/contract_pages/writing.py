"""The files of the contract, and how they are written: each whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from deploy.contract_pages.asyncapi import asyncapi_of
from deploy.contract_pages.document import document_of
from deploy.contract_pages.facts import Contract
from deploy.contract_pages.pages import ASYNCAPI, DOCUMENT, pages_of
from deploy.failures import WRONG_USAGE, Failure

_MODE = 0o644
"""A web server of another user reads them."""


def asyncapi_file(contract: Contract) -> dict[str, bytes]:
    """Return the AsyncAPI document by its file name."""
    return {ASYNCAPI: _as_json(asyncapi_of(contract))}


def document_file(contract: Contract) -> dict[str, bytes]:
    """Return the document of all facts by its file name."""
    return {DOCUMENT: _as_json(document_of(contract))}


def all_files(contract: Contract) -> dict[str, bytes]:
    """Return the pages and all that they link to, by path. The same release and settings give the same bytes."""
    files = {name: page.encode() for name, page in pages_of(contract).items()}
    files |= asyncapi_file(contract) | document_file(contract)
    for event_type, event in contract.events.items():
        files[f"schemas/{event_type}.avsc"] = _as_json(event.schema)
        files[f"examples/{event_type}.json"] = _as_json(event.example.form)
        files[f"examples/{event_type}.single-object.bin"] = event.example.single_object
        files[f"examples/{event_type}.registry.bin"] = event.example.registry
    return files


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write these files; others in the folder stay. Raises Failure if the folder cannot be written to."""
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, content)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Failure(f"cannot write to {folder}: {why}; name a folder that can be written to", WRONG_USAGE) from None


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, then put it there: whoever reads it meanwhile reads the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".payments-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(_MODE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _as_json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
