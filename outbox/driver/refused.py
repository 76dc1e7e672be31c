"""Why PostgreSQL refuses a connection, and what to do. libpq tells it by its text alone: it gives no code."""

from typing import Final

DATABASE: Final = "PAYMENTS_DATABASE_URL"
"""The setting that names the database."""
FORBIDDEN: Final = "42501"
"""SQLSTATE insufficient_privilege."""
_ROLES: Final = (
    "of the roles of deploy/roles.sql take payments_app, for `migrate` payments_migrator, for `relay` payments_relay, "
    "for `journal republish` payments_restorer"
)
_WORDS: Final = (
    (
        "certificate verify failed",
        "shows a certificate that nobody issued whom we trust, or an expired one: see sslrootcert= of {setting}",
    ),
    (
        "does not match host name",
        "shows a certificate for another name: set {setting} to a name in it, or have it issued for this one",
    ),
    (
        "server does not support SSL",
        "speaks no TLS: have it switched on (ssl = on), or lower sslmode= of {setting} if this network may be trusted",
    ),
    ("root certificate file", "cannot be verified, for there is no such file: set sslrootcert= of {setting}"),
    ("no encryption", "takes no connection without TLS from here: set sslmode=verify-full in {setting}"),
    ("no pg_hba.conf entry", "takes no connection of this user from here: have its pg_hba.conf allow it"),
    (
        "requires a valid client certificate",
        "wants a certificate of ours: set sslcert= and sslkey= of {setting}",
    ),
    ("certificate required", "wants a certificate of ours: set sslcert= and sslkey= of {setting}"),
    (
        "certificate authentication failed",
        "does not take our certificate for this user: its name (CN) must be the user of {setting}",
    ),
    ("alert unknown ca", "does not trust who issued our certificate: check sslcert= of {setting}, or its ssl_ca_file"),
    ("alert certificate expired", "refuses our certificate, which has expired: renew that of sslcert= in {setting}"),
    (
        "private key file",
        "was not asked, for our key cannot be used (mode 0600): see sslkey= of {setting}",
    ),
    ("certificate file", "was not asked, for our certificate cannot be read: see sslcert= of {setting}"),
    ("password authentication failed", "refuses the password: check user and password in {setting} (or its _FILE)"),
    ("no password supplied", "wants a password: put it into {setting} (or its _FILE)"),
)
"""The first that fits counts."""


def explain_refusal(text: str, setting: str = DATABASE) -> str | None:
    """Say what to do about libpq's error; None: show it as it is. setting: names the database in question."""
    found = next((words for needle, words in _WORDS if needle in text), None)
    return None if found is None else f"PostgreSQL {found.format(setting=setting)}"


def explain_forbidden(text: str, setting: str = DATABASE) -> str:
    """Say what to do about a right that is missing. text: PostgreSQL's. setting: names the database in question."""
    return f"PostgreSQL forbids it ({text}): {_ROLES}; or grant that to the user of {setting}"
