"""What a migration did to what was there before, by PostgreSQL's own catalogs."""

from typing import Any, Final, LiteralString, NamedTuple

import psycopg

from outbox.driver.conninfo import libpq_url

_OF_OURS: Final = "c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
_COLUMNS: Final[LiteralString] = f"""
    SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.atthasdef OR a.attidentity <> ''
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE {_OF_OURS} AND a.attnum > 0 AND NOT a.attisdropped"""
_BOUNDS: Final[LiteralString] = f"""
    SELECT c.relname || ': ' || k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid WHERE {_OF_OURS} AND k.contype <> 'n'
    UNION ALL
    SELECT c.relname || ': ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid WHERE {_OF_OURS} AND i.indisunique
    UNION ALL
    SELECT c.relname || ': ' || t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
      JOIN pg_class c ON c.oid = t.tgrelid WHERE {_OF_OURS} AND NOT t.tgisinternal"""
_CALLED: Final[LiteralString] = """
    SELECT p.oid::regprocedure::text, format_type(p.prorettype, NULL) FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT c.oid::regclass::text, 'sequence ' || s.seqincrement FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
     WHERE c.relnamespace = 'public'::regnamespace"""


class Catalog(NamedTuple):
    """columns: by table.column: type, not null, has a value of its own. bounds, called: definitions by name."""

    columns: dict[str, tuple[str, bool, bool]]
    bounds: dict[str, str]
    called: dict[str, str]


def catalog_of(url: str) -> Catalog:
    with psycopg.connect(libpq_url(url)) as connection:
        columns = {name: (kind, filled, given) for name, kind, filled, given in connection.execute(_COLUMNS)}
        return Catalog(columns, _pairs(connection, _BOUNDS), _pairs(connection, _CALLED))


def narrowed(before: Catalog, after: Catalog) -> list[str]:
    """Return what the release before would stumble over: empty if there is only more than before."""
    found = [f"gone: {name}" for name in before.columns.keys() - after.columns.keys()]
    found += [f"gone: {name}" for name in before.called.keys() - after.called.keys()]
    found += [f"changed: {n}" for n, what in before.called.items() if after.called.get(n, what) != what]
    tables = {name.partition(".")[0] for name in before.columns}
    for name, (kind, filled, given) in after.columns.items():
        if name not in before.columns:
            if name.partition(".")[0] in tables and filled and not given:
                found.append(f"must be written: {name}")
        elif (was := before.columns[name]) != (kind, filled, given) and (
            kind != was[0] or (filled and not was[1]) or (was[2] and not given)
        ):
            found.append(f"changed: {name}")
    found += [
        f"a new bound: {name}"
        for name, what in after.bounds.items()
        if before.bounds.get(name) != what and name.partition(":")[0] in tables
    ]
    # A key that is gone is missed by ON CONFLICT.
    found += [f"gone: {name}" for name in before.bounds.keys() - after.bounds.keys()]
    return sorted(found)


def _pairs(connection: psycopg.Connection[Any], query: LiteralString) -> dict[str, str]:
    return {str(name): str(what) for name, what in connection.execute(query).fetchall()}
