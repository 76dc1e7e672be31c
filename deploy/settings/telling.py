"""Settings of messages to customers: read, and checked against each other. No error shows a secret."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from deploy.settings.checks import is_loopback
from deploy.settings.places import ENCODE

if TYPE_CHECKING:
    from consumers.adapters.notifier.mail import Sender
    from deploy.settings.model import Settings

SMTP_PORTS: Final = {"smtp": 587, "smtps": 465}
SMTP_FORM: Final = (
    f"PAYMENTS_SMTP_URL must look like smtp://user:password@host:587 or smtps://user:password@host:465; {ENCODE}"
)
SMTP_OPTIONS: Final = frozenset({"starttls", "cafile"})
SECRETS_MAX: Final = 2
PLACEHOLDER: Final = "{customer_id}"
FILE_SUFFIXES: Final = frozenset({".csv", ".jsonl", ".ndjson", ".json"})
NEEDS: Final = {
    "log": (),
    "smtp": ("smtp_url", "smtp_from", "customer_directory"),
    "webhook": ("notifier_webhook_url", "notifier_webhook_secret"),
}


class SmtpPlace(NamedTuple):
    """Where the mail server is; see consumers.adapters.notifier.smtp.Server, which has the same fields."""

    host: str
    port: int
    tls: bool
    start_tls: bool
    username: str | None
    password: str | None
    cafile: str | None


def check_telling(settings: "Settings") -> None:
    """Refuse a notifier without what it needs, and values that no notifier could use."""
    missing = [f"PAYMENTS_{name.upper()}" for name in NEEDS[settings.notifier] if getattr(settings, name) is None]
    if missing:
        raise ValueError(f"PAYMENTS_NOTIFIER={settings.notifier} needs {' and '.join(missing)}")
    smtp_place(settings)
    smtp_sender(settings)
    notifier_secrets(settings)
    _check_url("PAYMENTS_NOTIFIER_WEBHOOK_URL", settings.notifier_webhook_url)
    _check_directory(settings.customer_directory)
    folder = settings.notifier_templates
    if folder is not None and not folder.is_dir():
        raise ValueError(f"PAYMENTS_NOTIFIER_TEMPLATES: there is no folder {folder}")


def smtp_place(settings: "Settings") -> SmtpPlace | None:
    """Return where the mail server is. STARTTLS is demanded, unless it is on this machine or the URL says `never`."""
    if settings.smtp_url is None:
        return None
    parts, port = _split(settings.smtp_url.get_secret_value())
    options = parse_qs(parts.query, keep_blank_values=True)
    if parts.scheme not in SMTP_PORTS or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(SMTP_FORM)
    starttls = options.get("starttls", ["required"])
    if options.keys() - SMTP_OPTIONS or starttls not in (["required"], ["never"]):
        raise ValueError("PAYMENTS_SMTP_URL may have ?starttls=never, ?starttls=required and ?cafile=FILE only")
    tls, near = parts.scheme == "smtps", is_loopback(f"//{parts.netloc.rpartition('@')[2]}")
    start_tls = not tls and starttls == ["required"] and (not near or "starttls" in options)
    if parts.password is not None and not (tls or start_tls or near):
        raise ValueError(
            "PAYMENTS_SMTP_URL: a password is not sent without TLS; use smtps:// or leave out starttls=never"
        )
    (cafile,) = options.get("cafile", [None])[:1]
    if cafile is not None and not Path(cafile).is_file():
        raise ValueError(f"PAYMENTS_SMTP_URL: there is no file {cafile}")
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return SmtpPlace(
        parts.hostname, port or SMTP_PORTS[parts.scheme], tls, start_tls, username or None, password, cafile
    )


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(SMTP_FORM) from None
    return parts, port


def smtp_sender(settings: "Settings") -> "Sender | None":
    """Return who mails are from."""
    if settings.smtp_from is None:
        return None
    from consumers.adapters.notifier.mail import sender_of  # noqa: PLC0415 - most processes send no mail

    try:
        return sender_of(settings.smtp_from)
    except ValueError as error:
        raise ValueError(f"PAYMENTS_SMTP_FROM {error}") from None


def notifier_secrets(settings: "Settings") -> tuple[bytes, ...]:
    """Return the secrets that sign messages: one, or two while it is changed."""
    given = settings.notifier_webhook_secret
    if given is None:
        return ()
    from consumers.adapters.notifier.signing import read_secret  # noqa: PLC0415 - as above

    texts = [text.strip() for text in given.get_secret_value().split(",")]
    try:
        secrets = tuple(read_secret(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"PAYMENTS_NOTIFIER_WEBHOOK_SECRET {error}") from None
    if len(secrets) > SECRETS_MAX:
        raise ValueError("PAYMENTS_NOTIFIER_WEBHOOK_SECRET must be one secret, or two with a comma while it is changed")
    return secrets


def is_url(directory: str) -> bool:
    """Whether the customer directory is a service, not a file."""
    return directory.startswith(("http://", "https://"))


def _check_directory(directory: str | None) -> None:
    name = "PAYMENTS_CUSTOMER_DIRECTORY"
    if directory is None:
        return
    if is_url(directory):
        parts = urlsplit(directory.replace(PLACEHOLDER, "x"))
        if directory.count(PLACEHOLDER) != 1 or PLACEHOLDER in directory.partition("//")[2].partition("/")[0]:
            raise ValueError(f"{name} must have {PLACEHOLDER} once in its path or query, as https://host/{PLACEHOLDER}")
        _check_url(name, parts.geturl())
    elif not Path(directory).is_file():
        raise ValueError(f"{name}: there is no file {directory}, and it is no URL (https://...)")
    elif Path(directory).suffix.lower() not in FILE_SUFFIXES:
        raise ValueError(f"{name}: a file ends with {', '.join(sorted(FILE_SUFFIXES))}")


def _check_url(name: str, url: str | None) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        usable, has_password = bool(parts.hostname) and parts.port != 0, parts.password is not None
    except ValueError:
        usable = has_password = False
    if not usable:
        raise ValueError(f"{name} must look like https://host/path")
    if has_password and parts.scheme == "http" and not is_loopback(url):
        raise ValueError(f"{name}: a password is not sent without TLS; use https://")
