"""Faults on demand: named by a SKU, or dealt to a share of all calls.

A fault is between the caller and the inventory: what was executed is executed, and its key remembers the true answer.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import orjson

from deploy.standins.connections import HOLD_S
from deploy.stockhouse.bodies import read
from deploy.stockhouse.problems import invalid

SLOW_S: Final = 3.0
OTHER_ID: Final = "00000000-0000-5000-8000-000000000000"
_GARBAGE: Final = b'{"reservation_id": 7, "state": "perhaps", "lines": "many"}'


class Fault(StrEnum):
    """What goes wrong with a call."""

    RESET_BEFORE = "RESET-BEFORE"
    RESET_AFTER = "RESET-AFTER"
    TIMEOUT_BEFORE = "TIMEOUT-BEFORE"
    TIMEOUT_AFTER = "TIMEOUT-AFTER"
    BROKEN_AFTER = "500-AFTER"
    UNAVAILABLE = "503"
    TOO_MANY = "429"
    HTML = "HTML"
    TRUNCATED = "TRUNCATED"
    GARBAGE = "GARBAGE"
    MIXED_UP = "MIXED-UP"
    SLOW = "SLOW-3S"


UNEXECUTED: Final = frozenset({Fault.RESET_BEFORE, Fault.TIMEOUT_BEFORE, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.HTML})
_SKU: Final = re.compile(
    rf"SKU-FAULT-({'|'.join(Fault)})(?:-ON-(RESERVE|CONFIRM|RELEASE|EXTEND|RESTOCK|LOOKUP))?(-ALWAYS)?(?:-.*)?"
)


def fault_of(skus: Iterable[str], call: str, met: int) -> Fault | None:
    """Return the fault of a call about these SKUs. met: so often has this key met it; only the first call does.

    call: its operationId in capitals; LOOKUP reads one hold or restock, and has a fault only if the SKU names it.
    """
    for sku in sorted(skus):
        named = _SKU.fullmatch(sku)
        if named is None:
            continue
        fault, on, always = named.groups()
        if (on == call or (on is None and call != "LOOKUP")) and (always or met == 0):
            return Fault(fault)
    return None


def names_fault(skus: Iterable[str]) -> bool:
    """Whether one of them names a fault."""
    return any(_SKU.fullmatch(sku) for sku in skus)


@dataclass(slots=True)
class FaultsOfAll:
    """Faults of the whole inventory.

    down: every connection is reset. share: of all calls, 0 to 1, have one of `kinds`, drawn by seed, by what is called
    and by how often it was called. slow_s: how long a slow one takes, in seconds.
    """

    down: bool = False
    share: float = 0.0
    seed: int = 1
    slow_s: float = SLOW_S
    kinds: tuple[Fault, ...] = tuple(Fault)
    _called: Counter[str] = field(default_factory=Counter)

    def change(self, body: bytes) -> None:
        """Set what the JSON names and keep the rest. Raises Problem, and sets nothing then."""
        wanted = read(body)
        names = {"down", "share", "seed", "slow_s", "kinds"}
        if not isinstance(wanted, dict) or wanted.keys() - names:
            raise invalid({"": "send an object with down, share, seed, slow_s or kinds"})
        merged = {**self.shown(), **wanted}
        errors = {f"/{name}": text for name, (good, text) in _checks(merged).items() if not good}
        if errors:
            raise invalid(errors)
        self.down, self.share, self.seed, self.slow_s = (merged[name] for name in ("down", "share", "seed", "slow_s"))
        self.kinds = tuple(Fault(kind) for kind in merged["kinds"])
        self._called.clear()

    def shown(self) -> dict[str, Any]:
        """Return what is set."""
        return {
            "down": self.down,
            "share": self.share,
            "seed": self.seed,
            "slow_s": self.slow_s,
            "kinds": [kind.value for kind in self.kinds],
        }

    def draw(self, name: str) -> Fault | None:
        """Return the fault of this call. name: its key, or what it reads: the same calls in any order meet the same."""
        if not self.share or not self.kinds:
            return None
        self._called[name] += 1
        digest = blake2b(f"{self.seed}:{self._called[name]}:{name}".encode(), digest_size=16).digest()
        if int.from_bytes(digest[:8], "big") >= self.share * 2**64:
            return None
        return self.kinds[int.from_bytes(digest[8:], "big") % len(self.kinds)]


def garbled(fault: Fault, body: bytes) -> bytes:
    """Return an answer that does not follow the contract, or one about another hold."""
    if fault is Fault.MIXED_UP:
        answer = orjson.loads(body)
        ids = [name for name in ("reservation_id", "restock_id") if name in answer]
        if ids:
            return orjson.dumps({**answer, **dict.fromkeys(ids, OTHER_ID), "order_id": "OTHER"})
    return _GARBAGE


def _checks(wanted: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    kinds = wanted["kinds"]
    known = isinstance(kinds, list) and all(isinstance(kind, str) and kind in list(Fault) for kind in kinds)
    return {
        "down": (isinstance(wanted["down"], bool), "true or false"),
        "share": (_number(wanted["share"], 1), "0 to 1"),
        "seed": (type(wanted["seed"]) is int, "a whole number"),
        "slow_s": (_number(wanted["slow_s"], HOLD_S), f"0 to {HOLD_S:g} seconds"),
        "kinds": (known, f"a list of {', '.join(Fault)}"),
    }


def _number(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
