"""What all tables share: their metadata, the type of a time, and columns with a comment."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    }
)

Time = TIMESTAMP(timezone=True)


def column(name: str, type_: object, comment: str, **options: object) -> sa.Column[object]:
    """Describe a column. comment: its meaning and unit, kept in the database. Not null unless options say so."""
    return sa.Column(name, type_, comment=comment, nullable=bool(options.pop("nullable", False)), **options)  # type: ignore[arg-type]
