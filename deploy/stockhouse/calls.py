"""The five calls that change something: what each does, and when it is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.stockhouse import problems
from deploy.stockhouse.bodies import CallKind, Extend, Plain, Reserve, Restock, check, lines_of, written
from deploy.stockhouse.warehouse import Effect, Hold, Restocked, State, Warehouse

HOLD_MAX_S: Final = 31 * 86_400
"""Longer than any bank may take to pay."""


@dataclass(frozen=True, slots=True)
class Done:
    """The answer of a call, and what it changed; None: nothing."""

    body: dict[str, Any]
    hold: Hold | None = None
    restock: Restocked | None = None


def perform(warehouse: Warehouse, kind: CallKind, thing_id: str, document: object, key: str) -> Done:
    """Do what a call asks for. Changes nothing: the caller puts in what it returns. Raises Problem."""
    return _CALLS[kind](warehouse, thing_id, document, key)


def hold_json(hold: Hold) -> dict[str, Any]:
    """Return a hold as the contract has it."""
    return {
        "reservation_id": hold.reservation_id,
        "order_id": hold.order_id,
        "state": hold.state.value,
        "lines": lines_of(hold.lines),
        "restocked": lines_of(hold.restocked),
        "until": written(hold.until),
        "changed_at": written(hold.changed_at),
    }


def restock_json(restock: Restocked) -> dict[str, Any]:
    """Return a restock as the contract has it."""
    return {
        "restock_id": restock.restock_id,
        "reservation_id": restock.reservation_id,
        "order_id": restock.order_id,
        "request_id": restock.request_id,
        "lines": lines_of(restock.lines),
        "made_at": written(restock.made_at),
    }


def _reserve(warehouse: Warehouse, reservation_id: str, document: object, key: str) -> Done:
    wanted, at = check(Reserve, document), warehouse.now()
    _check_until(wanted.until, at)
    hold, lines = warehouse.holds.get(reservation_id), wanted.units
    if hold is not None:
        return _reserve_again(hold, wanted, key, at)
    if wanted.until <= at:
        raise problems.lapsed()
    missing = []
    for sku, quantity in lines.items():
        shelf = warehouse.shelf(sku)
        if shelf is None or shelf.available < quantity:
            missing.append((sku, quantity, None if shelf is None else shelf.available))
    if missing:
        raise problems.short(missing, len(lines))
    effect = Effect("reserve", key, at)
    number, order_id = warehouse.next_number, wanted.order_id
    return _changed(Hold(number, reservation_id, order_id, State.HELD, lines, {}, wanted.until, at, (effect,)))


def _reserve_again(hold: Hold, wanted: Reserve, key: str, at: datetime) -> Done:
    never_made = not hold.lines
    if hold.order_id != wanted.order_id or (not never_made and hold.lines != wanted.units):
        raise problems.other_hold()
    match hold.state:
        case State.LAPSED:
            raise problems.lapsed()
        case State.RELEASED:
            raise problems.released()
        case State.CONFIRMED:
            return Done(hold_json(hold))
        case State.HELD:
            return _until(hold, wanted.until, key, at)


def _confirm(warehouse: Warehouse, reservation_id: str, document: object, key: str) -> Done:
    hold = _known(warehouse, reservation_id, check(Plain, document))
    match hold.state:
        case State.LAPSED:
            raise problems.lapsed()
        case State.RELEASED:
            raise problems.released()
        case State.CONFIRMED:
            return Done(hold_json(hold))
        case State.HELD:
            return _changed(hold.changed(Effect("confirm", key, warehouse.now()), state=State.CONFIRMED))


def _release(warehouse: Warehouse, reservation_id: str, document: object, key: str) -> Done:
    wanted, effect = check(Plain, document), Effect("release", key, warehouse.now())
    if reservation_id not in warehouse.holds:
        number = warehouse.next_number
        made = Hold(number, reservation_id, wanted.order_id, State.RELEASED, {}, {}, effect.at, effect.at, (effect,))
        return _changed(made)
    hold = _known(warehouse, reservation_id, wanted)
    match hold.state:
        case State.CONFIRMED:
            raise problems.confirmed()
        case State.LAPSED | State.RELEASED:
            return Done(hold_json(hold))
        case State.HELD:
            return _changed(hold.changed(effect, state=State.RELEASED))


def _extend(warehouse: Warehouse, reservation_id: str, document: object, key: str) -> Done:
    wanted, at = check(Extend, document), warehouse.now()
    _check_until(wanted.until, at)
    hold = _known(warehouse, reservation_id, wanted)
    match hold.state:
        case State.LAPSED:
            raise problems.lapsed()
        case State.RELEASED:
            raise problems.released()
        case State.CONFIRMED:
            raise problems.confirmed()
        case State.HELD:
            return _until(hold, wanted.until, key, at)


def _restock(warehouse: Warehouse, restock_id: str, document: object, key: str) -> Done:
    wanted, at = check(Restock, document), warehouse.now()
    before = warehouse.restocks.get(restock_id)
    if before is not None:
        content = (wanted.reservation_id, wanted.order_id, wanted.request_id, wanted.units)
        if (before.reservation_id, before.order_id, before.request_id, before.lines) != content:
            raise problems.other_restock()
        return Done(restock_json(before))
    hold = _known(warehouse, wanted.reservation_id, wanted)
    if hold.state is not State.CONFIRMED:
        raise problems.not_confirmed()
    lines = wanted.units
    left = {sku: hold.lines.get(sku, 0) - hold.restocked.get(sku, 0) for sku in lines}
    exceeding = [(sku, quantity, left[sku]) for sku, quantity in lines.items() if quantity > left[sku]]
    if exceeding:
        raise problems.exceeds_sold(exceeding, len(lines))
    back = {sku: hold.restocked.get(sku, 0) + lines.get(sku, 0) for sku in sorted({*hold.restocked, *lines})}
    made = Restocked(restock_id, hold.reservation_id, hold.order_id, wanted.request_id, lines, at, key)
    return Done(restock_json(made), hold.changed(Effect("restock", key, at), restocked=back), made)


def _known(warehouse: Warehouse, reservation_id: str, wanted: Plain) -> Hold:
    hold = warehouse.holds.get(reservation_id)
    if hold is None:
        raise problems.unknown_hold()
    if hold.order_id != wanted.order_id:
        raise problems.other_hold()
    return hold


def _until(hold: Hold, until: datetime, key: str, at: datetime) -> Done:
    return (
        _changed(hold.changed(Effect("extend", key, at), until=until)) if until > hold.until else Done(hold_json(hold))
    )


def _check_until(until: datetime, at: datetime) -> None:
    if until > at + timedelta(seconds=HOLD_MAX_S):
        raise problems.invalid({"/until": f"a hold may lapse {HOLD_MAX_S} seconds from now at the latest"})


def _changed(hold: Hold) -> Done:
    return Done(hold_json(hold), hold)


_CALLS: Final[dict[CallKind, Callable[[Warehouse, str, object, str], Done]]] = {
    CallKind.RESERVE: _reserve,
    CallKind.CONFIRM: _confirm,
    CallKind.RELEASE: _release,
    CallKind.EXTEND: _extend,
    CallKind.RESTOCK: _restock,
}
