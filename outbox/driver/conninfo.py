"""How every connection to PostgreSQL is made: what libpq is told besides the URL.

What the URL says itself wins. A URL may name several hosts, as managed fail-over needs it:
postgresql://user:password@host1:5432,host2:5433/database.
"""

from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

NAME: Final = "payments"
CONNECT_TIMEOUT_S: Final = 5
"""For each host: one that is switched off does not answer at all, and the next host waits for its turn."""
_DEFAULTS: Final = {
    "fallback_application_name": NAME,
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    # A host that is gone sends no end of the connection. These find that out within 25 s, while the connection rests or
    # waits for an answer (keepalives), and within 20 s when something was sent (tcp_user_timeout).
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

_OURS: Final = {"client_encoding": "UTF8"}
"""Not to be chosen, by a role's settings, the environment or the URL: batches are written in UTF-8, byte by byte."""


def conninfo_of(url: str, **ours: str) -> str:
    """Return libpq's connection string. ours: parameters of the caller; what the URL says wins over them, too.

    url: postgresql://..., postgresql+psycopg://..., or a connection string. Of several hosts the one that can be
    written to is taken, unless the URL sets target_session_attrs.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(plain(url)).items()}
    several = "," in given.get("host", "") or "," in given.get("hostaddr", "")
    chosen = {"target_session_attrs": "read-write"} if several else {}
    return make_conninfo("", **{**_DEFAULTS, **chosen, **ours, **given, **_OURS})


def plain(url: str) -> str:
    """Return a URL that libpq reads: SQLAlchemy's names a driver besides."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}" if separator else url


async def connect(url: str, *, name: str, **how: Any) -> psycopg.AsyncConnection[Any]:
    """Open a connection of its own, for one purpose. name: what pg_stat_activity shows. how: psycopg's own arguments.

    Nothing is prepared unless asked for: a pooler may hand the next statement to another session.
    """
    how = {"prepare_threshold": None, **how}
    return await psycopg.AsyncConnection.connect(conninfo_of(url, fallback_application_name=name), **how)


def connect_now(url: str, *, name: str = NAME, **how: Any) -> psycopg.Connection[Any]:
    """Do as connect, for who may wait: a command, and the checks at start."""
    how = {"prepare_threshold": None, **how}
    return psycopg.connect(conninfo_of(url, fallback_application_name=name), **how)
