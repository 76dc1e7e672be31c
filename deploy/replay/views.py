"""A DuckDB view for each event, so that questions name events and not files."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.replay.columns import COLUMNS, Column, Kind

_TYPES: Final = {Kind.TEXT: "VARCHAR", Kind.WHOLE: "BIGINT", Kind.FLAG: "BOOLEAN", Kind.MOMENT: "TIMESTAMPTZ"}
_NOT_A_PATTERN: Final = re.compile(r"[*?\[]")
"""What DuckDB takes for a pattern, and what may stand in the name of a folder."""
_HEAD: Final = """\
-- For DuckDB: .read views.sql. Made anew by every run of `payments replay`. Times are shown in UTC.
-- If the files lie elsewhere than where they were written: SET VARIABLE replay = '/the/folder'; in each session.
"""


def views(has_files: Callable[[str], bool], folder: Path, form: str) -> str:
    """Return a script that makes a view of every event. One without files gives a view without rows."""
    made = [_view(event_type, folder if has_files(event_type) else None, form) for event_type in COLUMNS]
    return "\n".join([_HEAD + "SET TimeZone = 'UTC';", *made, ""])


def _view(event_type: str, folder: Path | None, form: str) -> str:
    columns = COLUMNS[event_type]
    begin = f"CREATE OR REPLACE VIEW {event_type} AS"
    if folder is None:
        nulls = ", ".join(f"NULL::{_type(column)} AS {column.name}" for column in columns)
        return f"{begin} SELECT {nulls}, NULL::DATE AS day WHERE false;"
    literal = _NOT_A_PATTERN.sub(lambda sign: f"[{sign[0]}]", str(folder))
    # DuckDB takes a relative path from where it runs. So the whole path stands here, unless a session knows better.
    quoted = literal.replace("'", "''")
    place = f"coalesce(getvariable('replay'), '{quoted}') || '/topic={event_type}/day=*/[0-9]*.{form}'"
    options = "hive_partitioning = true, hive_types = {'day': DATE}"
    if form == "jsonl":
        types = ", ".join(f"{column.name}: '{_type(column)}'" for column in columns)
        source = f"read_json({place}, format = 'newline_delimited', columns = {{{types}}}, {options})"
    else:
        source = f"read_parquet({place}, union_by_name = true, {options})"
    return f"{begin} SELECT * EXCLUDE (topic) FROM {source};"  # noqa: S608 - from literals, and a path that is quoted


def _type(column: Column) -> str:
    if column.parts:
        parts = ", ".join(f"{part.name} {_type(part)}" for part in column.parts)
        return f"STRUCT({parts})" + ("[]" if column.kind is Kind.LIST else "")
    return _TYPES[column.kind]
