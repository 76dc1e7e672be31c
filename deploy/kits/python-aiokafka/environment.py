"""What the programs take from the environment. A variable that is missing or wrong ends them with 2, and one line."""

import os
import sys
from pathlib import Path
from typing import NoReturn

WRONG_SETTING = 2


def kafka() -> str:
    """Return the addresses of the brokers."""
    return _needed("KAFKA_BOOTSTRAP_SERVERS", "the addresses of the brokers, as host:port,host:port")


def database() -> str:
    """Return the address of the subscriber's own database."""
    like = "your own database, as postgresql://user:password@host:port/database"
    url = _needed("DATABASE_URL", like)
    if not url.startswith(("postgresql://", "postgres://")):
        _end(f"DATABASE_URL is no address of PostgreSQL: set it to {like}")
    return url


def schemas() -> Path:
    """Return the folder of the schemas of `payments`."""
    folder = Path(os.environ.get("SCHEMAS") or "schemas")
    if not any((folder / "avro").glob("*.avsc")):
        _end(
            f"SCHEMAS: there are no schemas in {folder / 'avro'}: copy schemas/avro and schemas/released into {folder}"
        )
    return folder


def milliseconds(name: str, default: int) -> int:
    """Return a time."""
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        _end(f"{name} is {text!r}: set it to a whole number of milliseconds above 0")
    return int(text)


def _needed(name: str, like: str) -> str:
    text = os.environ.get(name, "")
    if not text:
        _end(f"{name} is not set: set it to {like}")
    return text


def _end(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise SystemExit(WRONG_SETTING)
