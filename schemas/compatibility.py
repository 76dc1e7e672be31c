"""Whether two versions of a schema can read each other, logical types included.

The rules are Avro's schema resolution, but stricter. A name is compared with its namespace. The meaning of a value (its
logical type, scale and precision) may not change. Text and bytes are never read as each other. Avro promotes numbers
in one direction only, so `compatible`, which checks both directions, refuses promotions.

One difference of meaning is safe. The bytes of a UUID and of a text are the same, and the text itself shows whether it
is a UUID. So a UUID may be read as text, and text as a UUID by a reader that checks it. No other logical type is like
that: a number does not show its unit, its scale or its zone. See schemas/README.md for the table.
"""

from typing import Any, Final

_PROMOTIONS: Final[dict[str, frozenset[str]]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
}
_MEANING: Final = ("logicalType", "precision", "scale")
_PLAIN: Final = (None, None, None)
_UUID: Final = ("uuid", None, None)
_NAMED: Final = ("record", "enum", "fixed")
Meaning = tuple[Any, ...]
"""The values of _MEANING, None where one is missing."""


def compatible(old: dict[str, Any], new: dict[str, Any], *, checked: bool = False) -> list[str]:
    """Return why the two cannot read each other's records; empty if they can (Avro's FULL compatibility).

    checked: new readers are ours, which check that a text is a UUID.
    """
    return [f"new readers: {problem}" for problem in unreadable(new, old, checked=checked)] + [
        f"old readers: {problem}" for problem in unreadable(old, new)
    ]


def unreadable(reader: dict[str, Any], writer: dict[str, Any], *, checked: bool = False) -> list[str]:
    """Return why a reader with one schema cannot read, or would misunderstand, records of the other.

    checked: the reader checks that a text is a UUID where its schema says so. Our models do.
    """
    return _Comparison(checked=checked).compare(reader, writer, ("", ""), "")


def enums(schema: Any) -> list[dict[str, Any]]:
    """Return the enums that a schema defines, in its order."""
    if isinstance(schema, list):
        return [found for branch in schema for found in enums(branch)]
    if not isinstance(schema, dict):
        return []
    if schema["type"] == "enum":
        return [schema]
    parts = schema["fields"] if schema["type"] == "record" else [schema.get("items"), schema.get("values")]
    return enums(parts) + (enums(schema["type"]) if not isinstance(schema["type"], str) else [])


def _kind(schema: Any) -> str:
    """Return the name of the type. The schema is no union."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    return str(kind) if isinstance(kind, str) else _kind(kind)


def _full_name(name: str, schema: dict[str, Any], namespace: str) -> str:
    return name if "." in name else ".".join(filter(None, (schema.get("namespace", namespace), name)))


def _meaning(schema: Any) -> Meaning:
    return tuple(schema.get(part) if isinstance(schema, dict) else None for part in _MEANING)


def _misplaced(field: dict[str, Any]) -> str:
    """Say so if a logical type stands where Avro ignores it."""
    return " (its logicalType stands beside the type, where Avro ignores it)" if "logicalType" in field else ""


def _words(meaning: Meaning) -> str:
    """Name a meaning: `decimal, precision 9, scale 2`."""
    named = zip(("", "precision ", "scale "), meaning, strict=True)
    return ", ".join(f"{name}{part}" for name, part in named if part is not None) or "no logical type"


class _Comparison:
    """Keeps the named types of both sides. Each problem begins with the path of its field."""

    def __init__(self, *, checked: bool) -> None:
        self.checked = checked
        self.readers: dict[str, Any] = {}
        self.writers: dict[str, Any] = {}
        self.seen: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, spaces: tuple[str, str], path: str) -> list[str]:
        """Compare two types. spaces: the namespaces around them, the reader's first."""
        reader = self._resolve(self.readers, reader, spaces[0])
        writer = self._resolve(self.writers, writer, spaces[1])
        if isinstance(writer, list):
            return [p for branch in writer for p in self.compare(reader, branch, spaces, path)]
        if isinstance(reader, list):
            tried = [self.compare(branch, writer, spaces, path) for branch in reader]
            return [] if [] in tried else [f"{path}: no branch of the union reads {_kind(writer)}"]
        read, written = _meaning(reader), _meaning(writer)
        if read != written and not self._is_safe(_kind(writer), written, read):
            return [f"{path}: the meaning changes from {_words(written)} to {_words(read)}"]
        return self._compare_kinds(reader, writer, spaces, path)

    def _is_safe(self, kind: str, written: Meaning, read: Meaning) -> bool:
        """Return whether each value that is written means the same to the reader, or is refused by it."""
        return kind == "string" and (
            (written, read) == (_UUID, _PLAIN) or (self.checked and (written, read) == (_PLAIN, _UUID))
        )

    def _compare_kinds(self, reader: Any, writer: Any, spaces: tuple[str, str], path: str) -> list[str]:
        kind, written = _kind(reader), _kind(writer)
        if kind != written:
            return [] if kind in _PROMOTIONS.get(written, ()) else [f"{path}: {written} cannot be read as {kind}"]
        if kind in _NAMED:
            return self._compare_named(reader, writer, spaces, path)
        if kind == "array":
            return self.compare(reader["items"], writer["items"], spaces, f"{path}[]")
        if kind == "map":
            return self.compare(reader["values"], writer["values"], spaces, f"{path}{{}}")
        return []

    def _compare_named(self, reader: Any, writer: Any, spaces: tuple[str, str], path: str) -> list[str]:
        name = _full_name(reader["name"], reader, spaces[0])
        written = _full_name(writer["name"], writer, spaces[1])
        aliases = {_full_name(alias, reader, spaces[0]) for alias in reader.get("aliases", ())}
        if name != written and written not in aliases:
            return [f"{path or 'the record'}: {written} cannot be read as {name}"]
        match reader["type"]:
            case "fixed":
                return [] if reader["size"] == writer["size"] else [f"{path}: the size of {name} changes"]
            case "enum":
                missing = sorted(set(writer["symbols"]) - set(reader["symbols"]))
                return (
                    [f"{path}: {name} lacks {missing} and has no default, which no later version can give it"]
                    if missing and "default" not in reader
                    else []
                )
            case _:
                inner = name.rpartition(".")[0], written.rpartition(".")[0]
                return self._compare_fields(reader, writer, inner, path) if self._first_time(name, written) else []

    def _compare_fields(self, reader: Any, writer: Any, spaces: tuple[str, str], path: str) -> list[str]:
        written = {field["name"]: field for field in writer["fields"]}
        problems = []
        for field in reader["fields"]:
            where = f"{path}.{field['name']}" if path else field["name"]
            source = next((written[n] for n in (field["name"], *field.get("aliases", ())) if n in written), None)
            if source is not None:
                found = self.compare(field["type"], source["type"], spaces, where)
                problems += [problem + _misplaced(source) for problem in found]
            elif "default" not in field:
                problems.append(f"{where}: not written, and has no default")
        return problems

    def _first_time(self, name: str, written: str) -> bool:
        """Return whether this pair of records is new. A pair is compared only once."""
        pair = name, written
        new = pair not in self.seen
        self.seen.add(pair)
        return new

    def _resolve(self, names: dict[str, Any], schema: Any, namespace: str) -> Any:
        """Return the definition of a named type; store it if this is the definition."""
        if isinstance(schema, str):
            return names.get(schema if "." in schema else _full_name(schema, {}, namespace), schema)
        if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            return self._resolve(names, schema["type"], namespace)
        if isinstance(schema, dict) and schema["type"] in _NAMED:
            names[_full_name(schema["name"], schema, namespace)] = schema
        return schema
