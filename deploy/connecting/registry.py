"""A client of the schema registry whose login and certificates somebody renews: the next question uses them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

import structlog
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.confluent import connect

Key = tuple[Mapping[str, str], tuple[int, int, int] | None]
CA = "ssl.ca.location"


class RenewedClients:
    """Gives the client of a registry; another one when its login or its file of certificates has changed.

    options: returns the client's login and certificates as they are now; it raises OSError if it cannot. What cannot be
    used is logged once, and the last client stays in use. Safe to call from several threads.
    """

    def __init__(self, url: str, options: Callable[[], Mapping[str, str]]) -> None:
        self._url = url
        self._options = options
        self._lock = Lock()
        self._key = self._read()
        self._client = connect(url, self._key[0])
        self._refused: Key | str | None = None

    def __call__(self) -> SchemaRegistryClient:
        """Return the client to ask with now."""
        with self._lock:
            try:
                key = self._read()
            except OSError as error:
                self._note(str(error), error)
                return self._client
            if key not in (self._key, self._refused):
                try:
                    client = connect(self._url, key[0])
                except (OSError, ValueError) as error:
                    self._note(key, error)
                else:
                    self._client.close()
                    self._client, self._key, self._refused = client, key, None
            return self._client

    def _read(self) -> Key:
        options = dict(self._options())
        return options, _stamp(Path(options[CA])) if CA in options else None

    def _note(self, refused: Key | str, error: Exception) -> None:
        if refused != self._refused:
            self._refused = refused
            structlog.get_logger("deploy.connecting").warning(
                "a renewed login or certificate of the schema registry cannot be used, so the last one stays in use",
                error=type(error).__name__,
            )


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written anew or replaced, a symbolic link's aim included."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size, state.st_ino
