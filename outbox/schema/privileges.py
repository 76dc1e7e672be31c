"""The privileges that each process's database user needs, and which of them it lacks. Changes nothing."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, LiteralString

from outbox.driver.conninfo import connect_now


class Process(StrEnum):
    """A kind of user: of consumers and sweep, of a relay or an endpoint for webhooks in its own process, of upkeep."""

    ENGINE = "engine"
    RELAY = "relay"
    UPKEEP = "upkeep"
    WEBHOOKS = "webhooks"


_ALL: Final = ("SELECT", "INSERT", "UPDATE")
_PRESENT: Final[dict[str, tuple[str, ...]]] = {"process": (*_ALL, "DELETE"), "migration": ("SELECT",)}
"""Every process says that it runs."""
TABLES: Final[dict[Process, dict[str, tuple[str, ...]]]] = {
    Process.ENGINE: {
        "orders": _ALL,
        "attempt": _ALL,
        "operation": _ALL,
        "reservation": _ALL,
        "dispute": _ALL,
        "order_request": _ALL,
        "early_message": (*_ALL, "DELETE"),
        "stock": _ALL,
        "stock_adjustment": ("INSERT",),
        "inbox": ("SELECT", "INSERT"),
        "notification": _ALL,
        "message": (*_ALL, "DELETE"),
        "event": ("SELECT", "INSERT"),
        "outbox": ("SELECT", "INSERT"),
        "dead_letter": _ALL,
        "quarantine": ("SELECT", "INSERT"),
        "passed_stretch": ("SELECT", "UPDATE"),
        "low_water": _ALL,
        "review": (*_ALL, "DELETE"),
        "audit_run": (*_ALL, "DELETE"),
        "gateway_notice": (*_ALL, "DELETE"),
        **_PRESENT,
    },
    Process.RELAY: {
        "event": ("SELECT",),
        "outbox": ("SELECT", "UPDATE", "DELETE"),
        "relay_lease": _ALL,
        "dead_letter": ("SELECT",),
        "quarantine": ("SELECT", "INSERT"),
        **_PRESENT,
    },
    Process.UPKEEP: {"inbox": ("SELECT",)},
    Process.WEBHOOKS: {"gateway_notice": ("SELECT", "INSERT"), **_PRESENT},
}
SEQUENCES: Final[dict[Process, tuple[str, ...]]] = {
    Process.ENGINE: ("order_number_seq", "event_id_seq"),
    Process.RELAY: (),
    Process.UPKEEP: (),
    Process.WEBHOOKS: (),
}
FUNCTIONS: Final = ("inbox_make_day(date)", "inbox_finish_day(date)", "inbox_drop_day(date)")
"""What upkeep calls: they run with the rights of who migrates."""
_OF_UPKEEP: LiteralString = """
    SELECT name FROM unnest(%s::text[]) AS wanted(name)
     WHERE NOT coalesce(has_function_privilege(to_regprocedure(name), 'EXECUTE'), false)"""
# A grant on some columns counts: we trust whoever granted it.
_LACKED: LiteralString = """
    SELECT name, privilege FROM unnest(%s::text[], %s::text[]) AS wanted(name, privilege)
     WHERE NOT coalesce(CASE
       WHEN privilege = 'USAGE' THEN has_sequence_privilege(to_regclass(name), privilege)
       WHEN privilege = 'DELETE' THEN has_table_privilege(to_regclass(name), privilege)
       ELSE has_any_column_privilege(to_regclass(name), privilege) END, false)"""


def lacked_privileges(url: str, processes: Collection[Process]) -> list[str]:
    """Return what the URL's user lacks for these processes, such as `INSERT on orders`; empty if nothing.

    Raises psycopg.OperationalError if the database does not answer.
    """
    wanted = [(table, name) for process in processes for table, names in TABLES[process].items() for name in names]
    wanted += [(sequence, "USAGE") for process in processes for sequence in SEQUENCES[process]]
    names, privileges = [list(column) for column in zip(*dict.fromkeys(wanted), strict=True)]
    with connect_now(url, autocommit=True) as connection:
        found = connection.execute(_LACKED, [names, privileges]).fetchall()
    return [f"{privilege} on {name}" for name, privilege in found]


def lacked_for_upkeep(url: str) -> list[str]:
    """As lacked_privileges, for making and dropping the inbox's days."""
    with connect_now(url, autocommit=True) as connection:
        found = connection.execute(_OF_UPKEEP, [list(FUNCTIONS)]).fetchall()
    return [f"EXECUTE on {name}" for (name,) in found]
