"""Who knows the customers' addresses: a service of the shop, asked for one customer at a time, or a file.

Addresses are held in memory for a short time, and nowhere else. No error and no log line quotes one.
"""

import asyncio
import csv
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from domain.errors import Transient
from domain.ports.messages import Customer

PLACEHOLDER: Final = "{customer_id}"
TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 64 * 1024
KEPT_S: Final = 60.0
KEPT_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 64 << 20
"""A larger file belongs behind a service: all of it is held in memory."""
NO_CUSTOMER: Final = frozenset({404, 410})
LANGUAGE_LENGTH_MAX: Final = 35


class DirectoryDown(Transient):
    """The customer directory does not answer as it should."""

    dependency = "customer_directory"
    alarm = "notifier_down"


class UrlDirectory:
    """domain.ports.messages.CustomerDirectory over HTTP: GET answers JSON {"email", "language"}, or 404.

    url: has {customer_id} once; a user and password in it are sent as HTTP Basic.
    """

    def __init__(
        self, url: str, *, timeout_s: float = TIMEOUT_S, kept_s: float = KEPT_S, kept_max: int = KEPT_MAX
    ) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._kept_s = kept_s
        self._kept_max = kept_max
        self._kept: OrderedDict[str, tuple[float, Customer | None]] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def customer(self, customer_id: str) -> Customer | None:
        """Return what is known, or ask."""
        now = asyncio.get_running_loop().time()
        self._forget(now)
        if customer_id in self._kept:
            return self._kept[customer_id][1]
        found = await self._ask(customer_id)
        self._kept[customer_id] = (now + self._kept_s, found)
        self._kept.move_to_end(customer_id)
        return found

    async def close(self) -> None:
        """Close the connections, and forget."""
        self._kept.clear()
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)

    def _forget(self, now: float) -> None:
        """Forget those whose time is over, and the oldest if there are too many."""
        while self._kept:
            until, _ = next(iter(self._kept.values()))
            if until > now and len(self._kept) < self._kept_max:
                break
            self._kept.popitem(last=False)

    async def _ask(self, customer_id: str) -> Customer | None:
        url = self._url.replace(PLACEHOLDER, quote(customer_id, safe=""))
        if self._session is None:
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=jar)
        try:
            # yarl would decode the escapes of the id again.
            async with self._session.get(_exactly(url), allow_redirects=False) as answer:
                if answer.status in NO_CUSTOMER:
                    return None
                if answer.status != 200:
                    raise DirectoryDown(f"it answers {answer.status}")
                body = await answer.content.read(ANSWER_BYTES_MAX + 1)
                while len(body) <= ANSWER_BYTES_MAX and (more := await answer.content.read(ANSWER_BYTES_MAX)):
                    body += more
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise DirectoryDown(f"it does not answer ({type(error).__name__})") from None
        if len(body) > ANSWER_BYTES_MAX:
            raise DirectoryDown("its answer is too long")
        try:
            said = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise DirectoryDown("its answer is no JSON") from None
        if not isinstance(said, dict):
            raise DirectoryDown("its answer is no JSON object")
        return customer_of(said)


class FileDirectory:
    """domain.ports.messages.CustomerDirectory over a file: CSV with a head, or JSON lines.

    Columns or fields: customer_id, email, language (which may be missing). Read again when it has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._customers: dict[str, Customer] = {}
        self._reading = asyncio.Lock()

    async def customer(self, customer_id: str) -> Customer | None:
        """Return what the file says."""
        async with self._reading:
            await asyncio.to_thread(self._read_if_changed)
        return self._customers.get(customer_id)

    async def close(self) -> None:
        """Forget."""
        self._customers = {}
        self._stamp = None

    def _read_if_changed(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._customers = read_customers(self._path)
                self._stamp = stamp
        except OSError as error:
            raise DirectoryDown(f"its file cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise DirectoryDown(f"its file is wrong: {error}") from None


def read_customers(path: Path) -> dict[str, Customer]:
    """Read a file of customers. Raises OSError, or ValueError with the number of a wrong line, without addresses."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ValueError(f"it has more than {FILE_BYTES_MAX >> 20} MiB; use a URL")
    found: dict[str, Customer] = {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in _rows(path, lines):
            customer_id = row.get("customer_id")
            if not isinstance(customer_id, str) or not customer_id:
                raise ValueError(f"line {number} has no customer_id")
            customer = customer_of(row)
            if customer is not None:
                found[customer_id] = customer
    return found


def _rows(path: Path, lines: Any) -> Any:
    try:
        if path.suffix.lower() == ".csv":
            reader = csv.DictReader(lines, strict=True)
            if not {"customer_id", "email"} <= set(reader.fieldnames or ()):
                raise ValueError("its first line must name the columns customer_id and email")
            yield from ((reader.line_num, row) for row in reader)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                row = orjson.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"line {number} is no JSON object")
                yield number, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except orjson.JSONDecodeError:
        raise ValueError(f"line {number} is no JSON") from None


def customer_of(said: dict[str, Any]) -> Customer | None:
    """Read an address and a language; None if there is no address."""
    email, language = said.get("email"), said.get("language")
    if not isinstance(email, str) or not email.strip():
        return None
    if not isinstance(language, str) or not 0 < len(language.strip()) <= LANGUAGE_LENGTH_MAX:
        return Customer(email.strip())
    return Customer(email.strip(), language.strip().replace("_", "-"))


def _exactly(url: str) -> Any:
    from yarl import URL  # noqa: PLC0415 - aiohttp's own

    return URL(url, encoded=True)
