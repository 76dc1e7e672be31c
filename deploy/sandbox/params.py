"""Form parameters, checked strictly: unknown names, wrong types and empty values are refused, as Stripe does.

What Stripe knows and the sandbox does not play is refused by an error of its own kind: `not_played`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from deploy.sandbox.errors import invalid, not_played

METADATA_KEYS_MAX = 50
METADATA_KEY_MAX = 40
METADATA_VALUE_MAX = 500
_TEXT_MAX = 5000
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_INDEX = re.compile(r"\[\d*\]$")
_KEYED = re.compile(r"metadata\[([^\[\]]*)\]")

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """The parameters that Stripe knows for one endpoint.

    played: full names; `x[*]` is any key below x, `x[]` list items. others: names, or the first part of names, that
    are valid at Stripe and not played here.
    """

    played: frozenset[str]
    others: frozenset[str] = field(default_factory=frozenset)


def parse(body: bytes) -> dict[str, str]:
    """Read a form or a query string. List items are numbered in their name (`expand[0]`), however they came."""
    try:
        text_ = body.decode("ascii")
        pairs = parse_qsl(text_, keep_blank_values=True, strict_parsing=bool(text_))
    except ValueError as broken:
        raise invalid("The body is not a form: encode it as application/x-www-form-urlencoded.") from broken
    form: dict[str, str] = {}
    for name, value in pairs:
        root = name.removesuffix("[]")
        form[name if root == name else f"{root}[{sum(other.startswith(f'{root}[') for other in form)}]"] = value
    return form


def check_names(form: Form, known: Known) -> None:
    """Refuse names that Stripe does not know for the endpoint, and those that the sandbox does not play."""
    for name in form:
        root = name.partition("[")[0]
        if name in known.played or _INDEX.sub("[]", name) in known.played:
            continue
        if name != root and f"{root}[*]" in known.played:
            continue
        if root in known.others:
            raise not_played(name)
        raise invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def required(form: Form, name: str) -> str:
    """Return a value that must be there."""
    value = text(form, name)
    if value is None:
        raise invalid(f"Missing required param: {name}.", name, "parameter_missing")
    return value


def text(form: Form, name: str, length_max: int = _TEXT_MAX) -> str | None:
    """Return a value, which must not be empty when it is given. length_max: in characters."""
    value = form.get(name)
    if value == "":
        raise invalid(f"You passed an empty string for '{name}': leave it out.", name, "parameter_invalid_empty")
    if value is not None and len(value) > length_max:
        raise invalid(f"Invalid string: {value[:10]}...; must be at most {length_max} characters", name)
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


def text_or_unset(form: Form, name: str, length_max: int = _TEXT_MAX) -> str | None:
    """Return a value; "" where the caller unsets it, None where it is not given. length_max: in characters."""
    return "" if form.get(name) == "" else text(form, name, length_max)


def boolean(form: Form, name: str, others: frozenset[str] = frozenset()) -> bool:
    """Return true or false; false if it is not given. others: words that only Stripe takes in its place."""
    value = text(form, name)
    if value in others:
        raise not_played(name)
    if value not in {None, "true", "false"}:
        raise invalid(f"Invalid boolean: {value}", name)
    return value == "true"


def one_of(form: Form, name: str, choices: tuple[str, ...], others: frozenset[str] = frozenset()) -> str | None:
    """Return one of the words allowed. others: words that Stripe knows and the sandbox does not play."""
    value = text(form, name)
    if value is not None and value not in choices:
        if value in others:
            raise not_played(name)
        raise invalid(f"Invalid {name}: must be one of {', '.join(choices)}", name)
    return value


def metadata(form: Form, *, kept: Mapping[str, str] | None = None, may_unset: bool = True) -> dict[str, str]:
    """Return the metadata after this request, within Stripe's bounds.

    kept: what the object has. An empty value unsets its key; `metadata` itself, empty, unsets all where may_unset.
    """
    found = dict(kept or {})
    if form.get("metadata") == "" and may_unset:
        found.clear()
    elif "metadata" in form:
        raise invalid("Invalid object: metadata holds keys with values.", "metadata")
    for name, value in form.items():
        if not name.startswith("metadata["):
            continue
        match = _KEYED.fullmatch(name)
        if match is None:
            raise invalid("Metadata keys have no square brackets, and their values are texts.", "metadata")
        _check_pair(match[1], value)
        if value:
            found[match[1]] = value
        else:
            found.pop(match[1], None)
    if len(found) > METADATA_KEYS_MAX:
        raise invalid(f"Metadata can have up to {METADATA_KEYS_MAX} keys.", "metadata")
    return found


def _check_pair(key: str, value: str) -> None:
    if not 0 < len(key) <= METADATA_KEY_MAX:
        raise invalid(f"Metadata keys have 1 to {METADATA_KEY_MAX} characters: {key[:50]}", "metadata")
    if len(value) > METADATA_VALUE_MAX:
        raise invalid(
            f"Metadata values have up to {METADATA_VALUE_MAX} characters; that of {key} has more.", "metadata"
        )


def expands(form: Form, allowed: tuple[str, ...], others: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the properties to expand. others: properties that only Stripe expands.

    Raises ApiError for any that is not allowed.
    """
    wanted = {name: value for name, value in form.items() if name.startswith("expand[")}
    for name, value in wanted.items():
        if value in others:
            raise not_played(name)
        if value not in allowed:
            raise invalid(f"This property cannot be expanded ({value}).", "expand")
    return frozenset(wanted.values())
