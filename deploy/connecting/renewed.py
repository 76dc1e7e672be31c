"""Certificates in files that somebody renews: each new connection uses what the files hold then."""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import structlog

Stamp = tuple[tuple[int, int, int], ...]


class Certificates(NamedTuple):
    """PEM files. ca: whom to trust, None: the system's. certificate, key: who we are; the key may stand in the former.

    password: returns the key's, None: it has none.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    password: Callable[[], str] | None = None

    def files(self) -> Sequence[Path]:
        """Return the files there are."""
        return [path for path in (self.ca, self.certificate, self.key) if path is not None]

    def context(self) -> ssl.SSLContext:
        """Read the files. The other side's certificate and name are verified.

        Raises OSError (ssl.SSLError is one) for files that cannot be used.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            # Without a function OpenSSL would ask on the terminal for a password that is missing.
            context.load_cert_chain(self.certificate, self.key, self.password or _no_password)
        return context


def _no_password() -> str:
    return ""


class RenewedContext(ssl.SSLContext):
    """A context that is made anew for the next connection when one of its files has changed.

    Files that cannot be used are logged, and the last good ones stay in use: half of a renewal is no outage.
    """

    _certificates: Certificates
    _stamp: Stamp
    _context: ssl.SSLContext

    def __new__(cls, certificates: Certificates) -> Self:
        """Read the files. Raises OSError for files that cannot be used."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._certificates = certificates
        made._stamp = _stamp(certificates.files())
        made._context = certificates.context()
        return made

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begin a connection; every event loop does it by this method."""
        return self.current().wrap_bio(*args, **options)

    def current(self) -> ssl.SSLContext:
        """Return a context of the files as they are now."""
        try:
            stamp = _stamp(self._certificates.files())
            if stamp != self._stamp:
                self._context = self._certificates.context()
                self._stamp = stamp
        except OSError as error:
            why = getattr(error, "reason", None) or error.strerror or type(error).__name__
            structlog.get_logger("deploy.connecting").warning(
                "renewed certificates cannot be used, so the last ones stay in use",
                files=[str(path) for path in self._certificates.files()],
                error=str(why),
            )
        return self._context


def _stamp(files: Sequence[Path]) -> Stamp:
    """Return what changes when a file is written anew or replaced, a symbolic link's aim included."""
    states = [path.stat() for path in files]
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
