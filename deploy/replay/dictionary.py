"""The data dictionary: every topic and column, with type, unit and meaning, from the schemas' own words."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from deploy.replay.columns import COLUMNS, Column
from schemas.shapes import SHAPES
from schemas.topics import TOPICS

_HEAD: Final = """# Data dictionary

One folder a topic (`topic=`), one a day of `occurred_at` in UTC (`day=`). A file is named after its partition and its
first and last offset. Each event is here once. A column that an event's schema did not have yet is null.
`rejected.jsonl` has what is no event, and other bytes under the id of an event that is here.
"""


def dictionary(form: str) -> str:
    """Return the dictionary as Markdown. form: of the files."""
    text = "Times are ISO 8601 texts.\n" if form == "jsonl" else "Times are UTC timestamps, in microseconds.\n"
    return "\n".join([_HEAD + text, *(_topic(event_type) for event_type in COLUMNS)])


def dictionary_json() -> dict[str, Any]:
    """Return the dictionary as a document."""
    return {
        "topics": [
            {
                "topic": event_type,
                "meaning": SHAPES[event_type].schema["doc"],
                "published_by": TOPICS[event_type].publisher.value,
                "columns": [
                    {"column": name, "type": column.kind.value, "unit": column.unit, "meaning": column.doc}
                    for name, column in _flat(columns)
                ],
            }
            for event_type, columns in COLUMNS.items()
        ]
    }


def _topic(event_type: str) -> str:
    rows = [
        f"| `{name}` | {column.kind.value}{', may be null' if column.nullable else ''} | {column.unit} | "
        f"{column.doc.replace('|', '/')} |"
        for name, column in _flat(COLUMNS[event_type])
    ]
    head = f"{SHAPES[event_type].schema['doc']} Published by {TOPICS[event_type].publisher.value}."
    return "\n".join(
        [f"## {event_type}\n", head, "", "| column | type | unit | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _flat(columns: Sequence[Column], path: str = "") -> Iterator[tuple[str, Column]]:
    """Yield every column with its path; parts of a struct follow it."""
    for column in columns:
        yield path + column.name, column
        yield from _flat(column.parts, f"{path}{column.name}.")
