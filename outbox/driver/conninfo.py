"""How every connection to PostgreSQL is made: libpq's parameters besides the URL.

The URL's own parameters win. A URL may name several hosts, as managed fail-over needs it:
postgresql://user:password@host1:5432,host2:5433/database.
"""

import os
from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outbox.driver.renewed import RenewedText

NAME: Final = "payments"
_Kind = TypeVar("_Kind", bound=psycopg.AsyncConnection[Any])
CONNECT_TIMEOUT_S: Final = 5
"""For each host. A host that is off never answers, and the next one is tried only afterwards."""
_DEFAULTS: Final = {
    "fallback_application_name": NAME,
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    # A host that disappears does not close the connection. These notice it: within 25 s while the connection is idle or
    # waits for an answer (keepalives), within 20 s after something was sent (tcp_user_timeout).
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

_OURS: Final = {"client_encoding": "UTF8"}
"""These win over a role's settings, the environment and the URL: batches are written as bytes of UTF-8."""


_DATES: Final = ("PGDATESTYLE", "ISO")
"""psycopg reads no date in another style, and a database or a role may have one set. A connection string has no word
for it, and a pooler takes no options; this variable of libpq goes with the start of a connection, and poolers keep it
for each client."""


def conninfo_of(url: str, **ours: str) -> str:
    """Return libpq's connection string. ours: the caller's parameters; those of the URL win over them.

    url: postgresql://..., postgresql+psycopg://..., or a connection string. Of several hosts libpq takes one that
    accepts writes, unless the URL sets target_session_attrs. A URL that stands in a file is read again.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(libpq_url(url)).items()}
    several = "," in given.get("host", "") or "," in given.get("hostaddr", "")
    chosen = {"target_session_attrs": "read-write"} if several else {}
    return make_conninfo("", **{**_DEFAULTS, **chosen, **ours, **given, **_OURS})


def libpq_url(url: str) -> str:
    """Return a URL that libpq reads: remove the driver that SQLAlchemy's URLs name."""
    scheme, separator, rest = _as_it_is_now(url).partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}" if separator else url


def _as_it_is_now(url: str) -> str:
    """Read a URL again that stands in a file. If that is not readable, or half written, the one of the start counts."""
    if not isinstance(url, RenewedText):
        return url
    try:
        now = url.now()
        conninfo_to_dict(now.replace("postgresql+psycopg://", "postgresql://", 1))
    except (OSError, IndexError, psycopg.Error):
        return url
    return now


async def connect(url: str, *, name: str, **how: Any) -> psycopg.AsyncConnection[Any]:
    """Open a connection for one purpose. name: shown in pg_stat_activity. how: psycopg's arguments.

    Statements are not prepared unless `how` says so: a pooler may run the next one in another session.
    """
    return await connect_as(psycopg.AsyncConnection[Any], url, name=name, **how)


async def connect_as(kind: type[_Kind], url: str, *, name: str, **how: Any) -> _Kind:
    """Do as connect, with a class of connections of one's own."""
    return await kind.connect(_conninfo_named(url, name), **{"prepare_threshold": None, **how})


def connect_now(url: str, *, name: str = NAME, **how: Any) -> psycopg.Connection[Any]:
    """Do as connect, blocking: for commands and for checks at start."""
    return psycopg.connect(_conninfo_named(url, name), **{"prepare_threshold": None, **how})


def _conninfo_named(url: str, name: str) -> str:
    variable, style = _DATES
    os.environ[variable] = style  # noqa: TID251 - it is set here, for libpq; nothing is read
    return conninfo_of(url, fallback_application_name=name)
