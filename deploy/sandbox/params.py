"""Form parameters, checked strictly: unknown names, wrong types and empty values are refused, as Stripe does."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from deploy.sandbox.errors import invalid

METADATA_KEYS_MAX = 50
_METADATA_KEY_MAX = 40
_METADATA_VALUE_MAX = 500
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_INDEX = re.compile(r"\[\d*\]$")

Form = Mapping[str, str]


def parse(body: bytes) -> dict[str, str]:
    """Read a form or a query string; list items keep their place in their name (`expand[0]`)."""
    try:
        text = body.decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
    except ValueError as broken:
        raise invalid("The body is not a form: encode it as application/x-www-form-urlencoded.") from broken


def check_names(form: Form, allowed: frozenset[str]) -> None:
    """Refuse names that the endpoint does not know. `x[*]` allows any key below x, `x[]` list items."""
    for name in form:
        if name in allowed or _INDEX.sub("[]", name) in allowed:
            continue
        if name.startswith("metadata[") and name.endswith("]") and "metadata[*]" in allowed:
            continue
        raise invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def required(form: Form, name: str) -> str:
    """Return a value that must be there."""
    value = text(form, name)
    if value is None:
        raise invalid(f"Missing required param: {name}.", name, "parameter_missing")
    return value


def text(form: Form, name: str) -> str | None:
    """Return a value, which must not be empty when it is given."""
    value = form.get(name)
    if value == "":
        raise invalid(f"You passed an empty string for '{name}': leave it out.", name, "parameter_invalid_empty")
    return value


def positive(form: Form, name: str) -> int | None:
    """Return a whole number of at least 1."""
    value = text(form, name)
    if value is None:
        return None
    if not _INTEGER.fullmatch(value):
        raise invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer")
    if int(value) < 1:
        raise invalid("This value must be greater than or equal to 1.", name, "parameter_invalid_integer")
    return int(value)


def boolean(form: Form, name: str) -> bool:
    """Return true or false; false if it is not given."""
    value = text(form, name)
    if value not in {None, "true", "false"}:
        raise invalid(f"Invalid boolean: {value}", name)
    return value == "true"


def one_of(form: Form, name: str, choices: tuple[str, ...]) -> str | None:
    """Return one of the words allowed."""
    value = text(form, name)
    if value is not None and value not in choices:
        raise invalid(f"Invalid {name}: must be one of {', '.join(choices)}", name)
    return value


def metadata(form: Form) -> dict[str, str]:
    """Return the metadata, within Stripe's bounds."""
    found = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
    if len(found) > METADATA_KEYS_MAX:
        raise invalid(f"Metadata can have up to {METADATA_KEYS_MAX} keys.", "metadata")
    for key, value in found.items():
        if not 0 < len(key) <= _METADATA_KEY_MAX or len(value) > _METADATA_VALUE_MAX:
            raise invalid(f"Metadata keys have up to 40 characters and values 500: {key}", "metadata")
    return found


def expands(form: Form, allowed: tuple[str, ...]) -> frozenset[str]:
    """Return the properties to expand. Raises ApiError for any that is not allowed."""
    wanted = frozenset(value for name, value in form.items() if name.startswith("expand["))
    for value in wanted:
        if value not in allowed:
            raise invalid(f"This property cannot be expanded ({value}).", "expand")
    return wanted
