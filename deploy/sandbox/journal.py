"""The sandbox's memory: one JSON line for every request that changed something, written before it is answered.

Each line is one `write` to an append-only file. So answers survive a SIGKILL of the process, but not a crash of the
machine (this is play money). A last line that is cut off was never answered, and is dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from deploy.playbank.bank import KEY_TTL_S, Bank, Dispute, Intent, PaymentMethod, Refund
from deploy.sandbox.events import EventLog
from deploy.standins.lines import LinesFile

_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_KINDS: Mapping[str, Callable[..., Intent | Refund | PaymentMethod | Dispute]] = {
    "intent": Intent,
    "refund": Refund,
    "method": PaymentMethod,
    "dispute": Dispute,
}


@dataclass(frozen=True, slots=True)
class Stored:
    """The first executed answer of an idempotency key. request_id: of that request; "" in an older release's file."""

    fingerprint: str
    status: int
    body: bytes
    at: float
    request_id: str = ""


class Memory:
    """Idempotency keys, fault counts, and the file behind them and the bank."""

    def __init__(self, path: Path, bank: Bank) -> None:
        self._bank = bank
        self.events = EventLog(bank)
        self._stored: dict[str, Stored] = {}
        self._struck: dict[str, int] = {}
        self._file = LinesFile(path, "sandbox")
        clock = bank.now
        try:
            for line in self._file.read():
                # Time passes as it did: what it had not done yet when a line was written, it has not done there.
                bank.now = partial(_time_of, line, bank.now())
                self._apply(line)
        except BaseException:
            self._file.close()
            raise
        finally:
            bank.now = clock
        if not bank.born:
            # In letters only: among so many ids, some digits in a row would look like the number of a card.
            self._write({"born": f"{int(bank.now() * 1e6):x}".translate(_LETTERS)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def stored(self, key: str) -> Stored | None:
        """Return the stored answer of a key; None after a day."""
        stored = self._stored.get(key)
        return stored if stored is not None and self._bank.now() - stored.at < KEY_TTL_S else None

    def times_struck(self, key: str) -> int:
        """Return how many requests of this key met their payment method's fault."""
        return self._struck.get(key, 0)

    def strike(self, key: str) -> None:
        """Remember that the key met its fault once more."""
        self._write({"struck": key})

    def remember(
        self, key: str | None, answer: Stored, changed: Mapping[str, Intent | Refund | PaymentMethod | Dispute]
    ) -> None:
        """Keep an executed answer together with what it changed, by its kind, in one line."""
        line: dict[str, Any] = dict(changed)
        if key is None:
            line["at"] = answer.at
        else:
            line["key"] = [key, answer.fingerprint, answer.status, answer.body.decode(), answer.at, answer.request_id]
        self._write(line, apply=False)
        if key is not None:
            self._stored[key] = answer
        self.events.note(changed.values(), answer.at)

    def _write(self, line: dict[str, Any], *, apply: bool = True) -> None:
        self._file.write(orjson.dumps(line) + b"\n")
        if apply:
            self._apply(line)

    def _apply(self, line: dict[str, Any]) -> None:
        if "born" in line:
            self._bank.born = line["born"]
        if "struck" in line:
            self._struck[line["struck"]] = self._struck.get(line["struck"], 0) + 1
        things = [kind(**line[name]) for name, kind in _KINDS.items() if line.get(name)]
        for thing in things:
            self._bank.put(thing)
        self.events.note(things, self._bank.now())
        if "key" in line:
            key, fingerprint, status, body, *rest = line["key"]
            self._stored[key] = Stored(fingerprint, status, body.encode(), *rest)


def _time_of(line: Mapping[str, Any], before: float) -> float:
    """Return when a line was written, in Unix seconds. before: of the last one that had a time."""
    at: float = line["key"][4] if "key" in line else line.get("at", before)
    return at
