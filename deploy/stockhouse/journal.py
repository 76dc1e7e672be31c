"""The memory of the inventory sandbox: one JSON line for every call that was executed, written before it is answered.

As with the gateway sandbox, a line is appended by `write`: answers survive a SIGKILL of the process, but not a crash of
the machine (these are play goods). A last line that is cut off was never answered, and is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from deploy.standins.lines import LinesFile
from deploy.stockhouse.bodies import written
from deploy.stockhouse.warehouse import Effect, Hold, Restocked, State, Warehouse

KEY_TTL: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer of a key. fingerprint: of the call that it came with."""

    fingerprint: str
    status: int
    body: bytes
    at: datetime


class Memory:
    """Answers by key, faults that were met, and the file behind them and the warehouse."""

    def __init__(self, path: Path, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._stored: dict[str, Stored] = {}
        self._struck: dict[str, int] = {}
        self._lines: list[bytes] = []
        self._file = LinesFile(path, "inventory sandbox")
        try:
            for line in self._file.read():
                self._apply(line)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def stored(self, key: str) -> Stored | None:
        """Return the answer of a key; None after a day."""
        stored = self._stored.get(key)
        return stored if stored is not None and self._warehouse.now() - stored.at < KEY_TTL else None

    def strike(self, key: str) -> int:
        """Return how many calls with this key met a fault before, and remember one more."""
        before = self._struck.get(key, 0)
        self._note({"struck": key})
        self._struck[key] = before + 1
        return before

    def set_stock(self, sku: str, put_in: int) -> None:
        """Keep how many units of a SKU were put in."""
        self._note({"sku": sku, "put_in": put_in})
        self._warehouse.put_stock(sku, put_in)

    def remember(self, key: str, answer: Stored, hold: Hold | None, restock: Restocked | None) -> None:
        """Keep the answer of a key together with what the call changed."""
        line: dict[str, Any] = {
            "key": [key, answer.fingerprint, answer.status, answer.body.decode(), written(answer.at)]
        }
        if hold is not None:
            line["hold"] = hold
            self._warehouse.put(hold)
        if restock is not None:
            line["restock"] = restock
            self._warehouse.put_restock(restock)
        self._note(line)
        self._stored[key] = answer

    def flush(self) -> None:
        """Write what was kept. Nothing is answered before that."""
        lines, self._lines = b"".join(self._lines), []
        self._file.write(lines)

    def _note(self, line: Mapping[str, Any]) -> None:
        self._lines.append(orjson.dumps(line, default=tuple) + b"\n")

    def _apply(self, line: Mapping[str, Any]) -> None:
        if "struck" in line:
            self._struck[line["struck"]] = self._struck.get(line["struck"], 0) + 1
        if "sku" in line:
            self._warehouse.put_stock(line["sku"], line["put_in"])
        if "hold" in line:
            self._warehouse.put(_hold(line["hold"]))
        if "restock" in line:
            given = line["restock"]
            self._warehouse.put_restock(Restocked(**{**given, "made_at": datetime.fromisoformat(given["made_at"])}))
        if "key" in line:
            key, fingerprint, status, body, at = line["key"]
            self._stored[key] = Stored(fingerprint, status, body.encode(), datetime.fromisoformat(at))


def _hold(given: Mapping[str, Any]) -> Hold:
    times = {name: datetime.fromisoformat(given[name]) for name in ("until", "changed_at")}
    return Hold(**{**given, **times, "state": State(given["state"]), "effects": _effects(given["effects"])})


def _effects(given: Sequence[Sequence[Any]]) -> tuple[Effect, ...]:
    return tuple(Effect(kind, key, datetime.fromisoformat(at)) for kind, key, at in given)
