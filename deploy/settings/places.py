"""URLs for PostgreSQL, and URLs without passwords where they are shown."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from deploy.settings.errors import SettingsError
from deploy.settings.secrets import renewed

if TYPE_CHECKING:
    from deploy.settings.model import Settings

EMBEDDED_HINT = "or run `payments embedded` and start this where its folder lies (PAYMENTS_DATA, else .payments)"
MASK = "**********"
DATABASE_SCHEMES = ("postgresql", "postgresql+psycopg", "postgres")
ENCODE = "write @ : / ? # % in user and password as %40 %3A %2F %3F %23 %25"


def url_for(settings: "Settings", field: str, scheme: str) -> str:
    """Return a database URL with this scheme. One that stands in a file is read again for each new connection.

    Raises SettingsError if there is none.
    """
    if getattr(settings, field) is None:
        raise SettingsError(f"set PAYMENTS_DATABASE_URL (or PAYMENTS_DATABASE_URL_FILE), {EMBEDDED_HINT}")
    return renewed(settings, field, lambda url: f"{scheme}://{url.split('://', 1)[1]}")


def check_database_url(name: str, url: str) -> None:
    """Raise ValueError if libpq could not use this URL. libpq's own text may quote a password, so it is left out."""
    from psycopg import Error  # noqa: PLC0415 - a large library, and some commands need no database
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - as above

    wanted = f"{name} must look like postgresql://user:password@host:port/database"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DATABASE_SCHEMES:
        raise ValueError(wanted)
    try:
        given = conninfo_to_dict(f"postgresql://{rest}")
    except Error:
        raise ValueError(f"{wanted}?parameter=value, with parameters of libpq; {ENCODE}") from None
    if "@" in _parts(rest)[1]:
        raise ValueError(f"{wanted}; {ENCODE}")
    hosts, ports = str(given.get("host", "")).split(","), str(given.get("port", "")).split(",")
    if not all(port.isdecimal() or not port for port in ports) or len(ports) not in {1, len(hosts)}:
        raise ValueError(f"{wanted}, or like host1:5432,host2:5433 of several hosts; {ENCODE}")


def split_address(listen: str) -> tuple[str, int]:
    """Split a checked host:port; an IPv6 address stands in brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def mask_database_url(url: str | None) -> str | None:
    """Return a checked database URL with its passwords masked. It may name several hosts, or a socket's folder."""
    if url is None:
        return None
    scheme, _, rest = url.partition("://")
    login, place, asked = _parts(rest)
    user, colon, _ = login.partition(":")
    shown = f"{user}:{MASK}@" if colon else f"{user}@" if user else ""
    return f"{scheme}://{shown}{place}{_masked_query(asked)}"


def _parts(rest: str) -> tuple[str, str, str]:
    """Split a URL into login, place and parameters, as libpq does: the first @ before a slash ends the login."""
    login, at, behind = rest.partition("@")
    if not at or "/" in login:
        login, behind = "", rest
    place, _, asked = behind.partition("?")
    return login, place, asked


def _masked_query(asked: str) -> str:
    query = [(name, MASK if "pass" in name.lower() else value) for name, value in parse_qsl(asked)]
    return f"?{urlencode(query, safe='*')}" if query else ""


def mask_url(url: str | None) -> str | None:
    """Return a URL with its passwords masked, in the login and in parameters."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username
    except ValueError:
        return MASK
    login = f"{user}:{MASK}@" if parts.password is not None else f"{user}@" if user else ""
    return f"{parts.scheme}://{login}{host}{parts.path}{_masked_query(parts.query)}"
