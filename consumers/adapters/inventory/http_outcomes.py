"""Answers of the inventory as our outcomes (pure).

An answer counts only if it is exactly as the contract has it, and about this very call. Everything else is unknown:
then the hold is looked up. Not executed is only what the inventory itself says it did not begin.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from consumers.adapters.inventory.http_forms import lines_of
from domain.errors import DownForEverybody
from domain.failure_codes import FailureCode
from domain.operation import OperationKind
from domain.outcome import (
    AlreadySold,
    Approved,
    Declined,
    Lapsed,
    Missing,
    NotExecuted,
    NotFound,
    Outcome,
    Reserved,
    Short,
    Unknown,
)
from domain.stock_calls import StockCall
from schemas.texts import one_line

PROBLEM: Final = re.compile(r"urn:payments:inventory:([a-z_]{1,64})")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_UNITS_MAX: Final = 2**53 - 1
RETRY_AFTER_MAX_S: Final = 86_400
NO_FIT: Final = Unknown("an answer that does not fit the call")
_STATES: Final = frozenset({"held", "confirmed", "released", "lapsed"})
_NOT_BEGUN: Final = {
    400: {"malformed", "key_missing"},
    404: {"unknown_url"},
    405: {"wrong_method"},
    409: {"key_running"},
    413: {"too_large"},
    415: {"malformed"},
    422: {"invalid"},
    429: {"too_many"},
    503: {"unavailable"},
}
"""By status: what the inventory says when it has done nothing, and the key is still unused."""
_HELD_NO_MORE: Final = frozenset({"lapsed", "released"})
_K = OperationKind


class Reply(NamedTuple):
    """What came back: the status, the body as JSON (None if it was none), and how long to wait before the next try."""

    status: int
    body: Any
    retry_after_s: float | None = None


def read_answer(call: StockCall, reply: Reply) -> Outcome:
    """Return the outcome of a call. Raises DownForEverybody when the inventory refuses our token (401)."""
    if reply.status == 200:
        return _read_restock(call, reply.body) if call.kind is _K.RESTOCK else _read_done(call, reply.body)
    word = word_of(reply)
    check_allowed(reply, word)
    refused = not_begun(reply, word)
    if refused is not None:
        return refused
    if word in {"key_reused", "other_content"}:
        return Unknown(f"HTTP {reply.status} {word}", replayed=True)
    said = (call.kind, reply.status, word)
    if said == (_K.RESERVE, 409, "short"):
        return _read_short(call, reply.body)
    if call.kind in {_K.RESERVE, _K.CONFIRM, _K.EXTEND} and reply.status == 409 and word in _HELD_NO_MORE:
        return Lapsed()
    if call.kind in {_K.CONFIRM, _K.EXTEND} and (reply.status, word) == (404, "unknown_hold"):
        return Lapsed()
    if said == (_K.EXTEND, 409, "confirmed") and call.until is not None:
        return Reserved(call.until)  # sold: it never lapses
    if said == (_K.RELEASE, 409, "confirmed"):
        return AlreadySold()
    if call.kind is _K.RESTOCK and word in {"not_confirmed", "exceeds_sold", "unknown_hold"}:
        return Declined(FailureCode.GATEWAY_REFUSED, word)
    return Unknown(f"HTTP {reply.status} {word or 'in another form'}", retry_after_s=reply.retry_after_s)


def read_look_up(call: StockCall, reply: Reply) -> Outcome:
    """Return what a look-up says of a call. Raises DownForEverybody as read_answer."""
    word = word_of(reply)
    check_allowed(reply, word)
    if (reply.status, word) == (404, "unknown_restock" if call.kind is _K.RESTOCK else "unknown_hold"):
        return NotFound()
    if reply.status != 200:
        return Unknown(f"look-up: HTTP {reply.status} {word or ''}".rstrip(), retry_after_s=reply.retry_after_s)
    if call.kind is _K.RESTOCK:
        return _read_restock(call, reply.body)
    hold = _read_hold(call, reply.body)
    return NO_FIT if hold is None else _FOUND[call.kind](call, *hold)


def check_allowed(reply: Reply, word: str | None) -> None:
    """Raise DownForEverybody when the inventory, or what stands before it, refuses all our calls."""
    if reply.status in {401, 403}:
        raise DownForEverybody(
            f"the inventory refuses us (HTTP {reply.status} {word or ''}): check "
            "PAYMENTS_INVENTORY_TOKEN (or PAYMENTS_INVENTORY_TOKEN_FILE)"
        )


def not_begun(reply: Reply, word: str | None) -> NotExecuted | None:
    """Return the outcome of what the inventory did not begin; None if it does not say that."""
    if word is None or word not in _NOT_BEGUN.get(reply.status, ()):
        return None
    return NotExecuted(f"HTTP {reply.status} {word}{_why(reply.body)}", reply.retry_after_s)


def word_of(reply: Reply) -> str | None:
    """Return the last word of the type of a problem; None if the body is no problem of the inventory's own."""
    body = reply.body
    if not isinstance(body, dict) or body.get("status") != reply.status or type(body.get("status")) is not int:
        return None
    found = PROBLEM.fullmatch(body["type"]) if isinstance(body.get("type"), str) else None
    return found.group(1) if found else None


def _why(body: Any) -> str:
    """Return what is wrong in our request, as the inventory says: where, never with its values."""
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], dict):
        return ""
    pointer = errors[0].get("pointer")
    return f" at {one_line(pointer, 100)}" if isinstance(pointer, str) else ""


def _read_done(call: StockCall, body: Any) -> Outcome:
    """Read a hold that answers a call."""
    hold = _read_hold(call, body)
    if hold is None:
        return NO_FIT
    outcome = _FOUND[call.kind](call, *hold)
    # It says that it was done: a hold in which it shows no effect is no answer to this call.
    return outcome if isinstance(outcome, Reserved | Approved) else NO_FIT


def _read_hold(call: StockCall, body: Any) -> tuple[str, datetime] | None:
    """Return state and time of the hold that the call is about; None if it is no such hold."""
    if not isinstance(body, dict):
        return None
    until = moment(body.get("until"))
    ours = (body.get("reservation_id"), body.get("order_id")) == (str(call.reservation_id), call.order_id)
    state = body.get("state")
    if not ours or until is None or not isinstance(state, str) or state not in _STATES:
        return None
    if call.kind is _K.RESERVE and not _same_lines(call, body.get("lines"), or_none=state == "released"):
        return None
    return state, until


def _read_restock(call: StockCall, body: Any) -> Outcome:
    names = ("restock_id", "reservation_id", "order_id", "request_id")
    ours = (str(call.restock_id), str(call.reservation_id), call.order_id, call.request_id)
    if not isinstance(body, dict) or tuple(body.get(name) for name in names) != ours:
        return NO_FIT
    return Approved() if _same_lines(call, body.get("lines")) else NO_FIT


def _same_lines(call: StockCall, said: Any, *, or_none: bool = False) -> bool:
    """Whether these are the call's lines, in any order. or_none: a hold that was never made has none."""
    if not isinstance(said, list) or (or_none and not said):
        return isinstance(said, list)
    lines = {line["sku"]: line["quantity"] for line in lines_of(call.lines)}
    fits = len(said) == len(lines) and all(isinstance(line, dict) for line in said)
    return fits and all(
        isinstance(line.get("sku"), str)
        and type(line.get("quantity")) is int
        and lines.pop(line["sku"], None) == line["quantity"]
        for line in said
    )


def _read_short(call: StockCall, body: dict[str, Any]) -> Outcome:
    """Read what is missing: of our lines only, and less than we asked for."""
    asked = {line.sku: line.quantity for line in call.lines}
    said, missing = body.get("missing"), []
    if not isinstance(said, list) or not said:
        return NO_FIT
    for one in said:
        sku = one.get("sku") if isinstance(one, dict) else None
        if not isinstance(sku, str) or one.get("requested") != asked.get(sku) or "available" not in one:
            return NO_FIT
        requested, available = asked.pop(sku), one["available"]
        if available is not None and (type(available) is not int or not 0 <= available < min(requested, _UNITS_MAX)):
            return NO_FIT
        missing.append(Missing(sku, requested, available))
    return Short(tuple(sorted(missing, key=lambda m: m.sku)))


def moment(text: Any) -> datetime | None:
    """Read a time; None unless it is as the contract has it."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) and _MOMENT.fullmatch(text) else None
    except ValueError:
        return None


def _reserved(call: StockCall, state: str, until: datetime) -> Outcome:
    if state in _HELD_NO_MORE:
        return Lapsed()
    enough = call.until is not None and until >= call.until
    return Reserved(until) if state == "held" and enough else Unknown(f"the hold is {state} until {until}")


def _extended(call: StockCall, state: str, until: datetime) -> Outcome:
    if call.until is None or state in _HELD_NO_MORE:
        return Lapsed()
    if state == "confirmed":
        return Reserved(call.until)
    return Reserved(until) if until >= call.until else NotFound()


def _confirmed(_: StockCall, state: str, _until: datetime) -> Outcome:
    if state == "confirmed":
        return Approved()
    return NotFound() if state == "held" else Lapsed()


def _released(_: StockCall, state: str, _until: datetime) -> Outcome:
    if state in _HELD_NO_MORE:
        return Approved()
    return NotFound() if state == "held" else AlreadySold()


_FOUND: Final[dict[OperationKind, Callable[[StockCall, str, datetime], Outcome]]] = {
    _K.RESERVE: _reserved,
    _K.EXTEND: _extended,
    _K.CONFIRM: _confirmed,
    _K.RELEASE: _released,
}
"""What a hold, as it is, says of a call about it."""
