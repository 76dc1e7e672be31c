"""Secrets in files that <NAME>_FILE names: read at start, and again for each new connection."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from outbox.driver.renewed import RenewedText

if TYPE_CHECKING:
    from deploy.settings.model import Settings

SECRET_BYTES_MAX: Final = 64 * 1024


def read_secret(path: Path) -> str:
    """Return a file's content without its last line end. Raises OSError, also for an empty file or one in no UTF-8."""
    try:
        with path.open(encoding="utf-8") as stream:
            secret = stream.read(SECRET_BYTES_MAX).rstrip("\r\n")
    except UnicodeDecodeError:
        raise OSError(0, "not UTF-8") from None
    if not secret:
        raise OSError(0, "it is empty")
    return secret


def reader_of(settings: "Settings", field: str) -> Callable[[], str]:
    """Return what reads a secret that is set: its file as it is then, else the value. It raises OSError."""
    secret: SecretStr = getattr(settings, field)
    file = settings.secret_file(field)
    if file is None:
        return secret.get_secret_value

    def read() -> str:
        return read_secret(file)

    return read


def renewed(settings: "Settings", field: str, made: Callable[[str], str]) -> str:
    """Return a text that is made of a secret; if that stands in a file, one that is read and made anew when it is used.

    It is for who makes connections; see outbox.driver.conninfo.
    """
    secret: SecretStr = getattr(settings, field)
    text = made(secret.get_secret_value())
    if settings.secret_file(field) is None:
        return text
    read = reader_of(settings, field)
    return RenewedText(text, lambda: made(read()))
