"""What the database's user of a process must be allowed to do, and what of that it may not. Changes nothing."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, LiteralString

from outbox.driver.conninfo import connect_now


class Process(StrEnum):
    """Whose user it is: that of the consumers and the sweep, of a relay on its own, of the inbox's upkeep."""

    ENGINE = "engine"
    RELAY = "relay"
    UPKEEP = "upkeep"


_ALL: Final = ("SELECT", "INSERT", "UPDATE")
TABLES: Final[dict[Process, dict[str, tuple[str, ...]]]] = {
    Process.ENGINE: {
        "orders": _ALL,
        "attempt": _ALL,
        "operation": _ALL,
        "reservation": _ALL,
        "stock": ("SELECT", "UPDATE"),
        "inbox": ("SELECT", "INSERT"),
        "notification": ("SELECT", "INSERT"),
        "event": ("SELECT", "INSERT"),
        "outbox": ("SELECT", "INSERT"),
        "dead_letter": _ALL,
        "quarantine": ("SELECT", "INSERT"),
        "passed_stretch": ("SELECT", "UPDATE"),
        "low_water": _ALL,
    },
    Process.RELAY: {
        "event": ("SELECT",),
        "outbox": ("SELECT", "UPDATE", "DELETE"),
        "relay_lease": _ALL,
        "dead_letter": ("SELECT",),
        "quarantine": ("SELECT", "INSERT"),
    },
    Process.UPKEEP: {"inbox": ("SELECT",)},
}
SEQUENCES: Final[dict[Process, tuple[str, ...]]] = {
    Process.ENGINE: ("order_number_seq", "event_id_seq"),
    Process.RELAY: (),
    Process.UPKEEP: (),
}
_OF_UPKEEP: LiteralString = """
    SELECT pg_has_role(c.relowner, 'USAGE'), has_schema_privilege(c.relnamespace, 'CREATE'),
           c.relnamespace::regnamespace::text
      FROM pg_class c WHERE c.oid = to_regclass('inbox')"""
# A grant on some columns counts: whoever grants so knows which.
_LACKED: LiteralString = """
    SELECT name, privilege FROM unnest(%s::text[], %s::text[]) AS wanted(name, privilege)
     WHERE NOT coalesce(CASE
       WHEN privilege = 'USAGE' THEN has_sequence_privilege(to_regclass(name), privilege)
       WHEN privilege = 'DELETE' THEN has_table_privilege(to_regclass(name), privilege)
       ELSE has_any_column_privilege(to_regclass(name), privilege) END, false)"""


def lacked_privileges(url: str, processes: Collection[Process]) -> list[str]:
    """Say what these need and the user of this address may not do, as `INSERT on orders`; nothing when it may do all.

    url: of the database. Raises psycopg.OperationalError when there is no connection.
    """
    wanted = [(table, name) for process in processes for table, names in TABLES[process].items() for name in names]
    wanted += [(sequence, "USAGE") for process in processes for sequence in SEQUENCES[process]]
    names, privileges = [list(column) for column in zip(*dict.fromkeys(wanted), strict=True)]
    with connect_now(url, autocommit=True) as connection:
        found = connection.execute(_LACKED, [names, privileges]).fetchall()
    return [f"{privilege} on {name}" for name, privilege in found]


def lacked_for_upkeep(url: str) -> list[str]:
    """Say what the user of this address lacks to make and drop the inbox's days. As lacked_privileges."""
    with connect_now(url, autocommit=True) as connection:
        row = connection.execute(_OF_UPKEEP).fetchone()
    owns, creates, schema = row if row is not None else (False, True, "")
    lacked = [] if owns else ["ownership of inbox"]
    return lacked if creates else [*lacked, f"CREATE on schema {schema}"]
