"""The columns of each event as Arrow has them: ids are text, times have a zone, money is 64-bit integers.

Ids are no UUID columns: polars gives those as 16 bytes.
"""

from typing import Any, Final

import pyarrow as pa

from deploy.replay.columns import COLUMNS, Column, Kind

_TYPES: Final = {
    Kind.TEXT: pa.string(),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.MOMENT: pa.timestamp("us", tz="UTC"),
}


def type_of(column: Column) -> pa.DataType:
    """Return the type of a column."""
    if column.parts:
        of = pa.struct([(part.name, type_of(part)) for part in column.parts])
        return pa.list_(of) if column.kind is Kind.LIST else of
    return _TYPES[column.kind]


SCHEMAS: Final[dict[str, Any]] = {
    event_type: pa.schema([(column.name, type_of(column)) for column in columns])
    for event_type, columns in COLUMNS.items()
}
"""By event type. Every column may be null: one that an older schema did not have is."""
