"""One order on both sides: equal, different, or apart with a reason. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from domain.order import Status
from outbox.audit.rebuild.fold import Folded
from outbox.audit.rebuild.state import FieldDifference, OrderState, differences


class Kind(StrEnum):
    """How the two sides of an order compare."""

    EQUAL = "equal"
    DIFFERS = "differs"
    APART = "apart"


class Apart(StrEnum):
    """Why an order is neither equal nor different. EXPLAINED has a sentence for each."""

    UNDER_WAY = "under_way"
    MOVED = "moved"
    UNSENT = "unsent"
    NOT_CONSUMED = "not_consumed"
    REFUSED = "refused"
    DELETED = "deleted"
    REVIEW = "review"
    REVIEWED = "reviewed"
    REFUNDS = "refunds"


EXPLAINED: Final = {
    Apart.UNDER_WAY: "an operation is under way, or goods are still to be released",
    Apart.MOVED: "it changed while we looked: ask again",
    Apart.UNSENT: "events of it wait in the outbox",
    Apart.NOT_CONSUMED: "its OrderConfirmed was not consumed yet",
    Apart.REFUSED: "its OrderConfirmed is a dead letter or waits in quarantine",
    Apart.DELETED: "its first events are gone: the topics' retention has deleted some",
    Apart.REVIEW: "no event tells whether its review has ended",
    Apart.REVIEWED: "under review: no event tells yet what was approved, taken or held",
    Apart.REFUNDS: "of several refunds that were found together one failed: no event tells which are left",
}


class Live(NamedTuple):
    """An order as the database has it. under_way: what, as text; empty: nothing. unsent: events in the outbox.

    seen: when it had last changed, as text.
    """

    state: OrderState
    under_way: str = ""
    unsent: bool = False
    seen: str = ""


class Verdict(NamedTuple):
    """What comes of one order. reason: of APART. detail: more about it, for people. fields: of DIFFERS."""

    order_id: str
    kind: Kind
    reason: Apart | None = None
    detail: str = ""
    fields: tuple[FieldDifference, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return its item of the JSON document."""
        if self.kind is Kind.APART:
            return {"order_id": self.order_id, "reason": self.reason, "detail": self.detail or None}
        fields = [{"field": f.field, "live": f.live, "topics": f.topics} for f in self.fields]
        return {"order_id": self.order_id, "fields": fields}


def judge(order_id: str, live: Live | None, told: Folded | None, *, deleted: bool, refused: bool) -> Verdict:
    """Compare the two sides of an order.

    live, told: None if that side does not know it. deleted: retention has deleted messages from a topic. refused: its
    OrderConfirmed is a dead letter.
    """
    if live is None:
        return _judge_unknown(order_id, told, refused=refused)
    if told is None or told.state is None:
        if live.unsent:
            return _apart(order_id, Apart.UNSENT)
        if told is not None and live.state.version == 0 and live.under_way:
            return _apart(order_id, Apart.UNDER_WAY, live.under_way)
        return _lacking(order_id, "version 1" if told is not None else "everything", live, deleted=deleted)
    return _judge_pair(live, told, told.state, deleted=deleted)


def _judge_unknown(order_id: str, told: Folded | None, *, refused: bool) -> Verdict:
    """Judge an order that the database does not know."""
    if told is not None and told.state is not None:
        return _differs(order_id, FieldDifference("order", None, f"{told.state.status}, version {told.state.version}"))
    if refused:
        return _apart(order_id, Apart.REFUSED)
    if told is not None and not told.consumed:
        return _apart(order_id, Apart.NOT_CONSUMED)
    return _differs(order_id, FieldDifference("order", None, "an OrderConfirmed that was consumed"))


def _judge_pair(live: Live, told: Folded, topics: OrderState, *, deleted: bool) -> Verdict:
    order_id = live.state.order_id
    found = tuple(differences(live.state, topics))
    if told.two_bodies:
        twice = FieldDifference("events", None, f"two messages under the event id {told.two_bodies}")
        return _differs(order_id, twice, *found)
    if topics.version > live.state.version:
        return _differs(order_id, *found)
    lacks = _lack_of(told, live)
    if lacks and live.unsent and not (told.first > 1 or not told.opened):
        return _apart(order_id, Apart.UNSENT, lacks)
    if lacks:
        at_front = told.first > 1 or not told.opened
        return _lacking(order_id, lacks, live, deleted=deleted and at_front, also=found)
    if live.under_way:
        return _apart(order_id, Apart.UNDER_WAY, live.under_way)
    if not found:
        return Verdict(order_id, Kind.EQUAL)
    reason = _explain(live.state, told, found)
    return _apart(order_id, reason, _in_words(found)) if reason is not None else _differs(order_id, *found)


def _lack_of(told: Folded, live: Live) -> str:
    """Name what the topics lack of the order; empty: nothing."""
    assert told.state is not None
    if told.first > 1:
        return f"versions before {told.first}"
    if not told.opened:
        return "an OrderConfirmed with its total"
    if told.lacks:
        return told.lacks
    return f"version {told.state.version + 1}" if told.state.version < live.state.version else ""


_NOT_TOLD_YET: Final = ("transaction_id", "authorized_minor", "captured_minor", "held_minor", "reservation_id")


def _explain(live: OrderState, told: Folded, found: Sequence[FieldDifference]) -> Apart | None:
    """Return why no event tells these fields; None: an event should."""
    names = {difference.field for difference in found}
    if names == {"status"} and told.also and live.status == told.also:
        return Apart.REVIEW
    if live.status == Status.MANUAL_REVIEW and all(name.endswith(_NOT_TOLD_YET) for name in names):
        return Apart.REVIEWED
    if names <= {f"attempts[{number}].refund_ids" for number in told.unclear}:
        return Apart.REFUNDS
    return None


def _lacking(order_id: str, lacks: str, live: Live, *, deleted: bool, also: Sequence[FieldDifference] = ()) -> Verdict:
    if deleted:
        return _apart(order_id, Apart.DELETED, f"the topics lack {lacks}")
    state = live.state
    missing = FieldDifference("events", f"{state.status}, version {state.version}", f"they lack {lacks}")
    return _differs(order_id, missing, *also)


def _apart(order_id: str, reason: Apart, detail: str = "") -> Verdict:
    return Verdict(order_id, Kind.APART, reason, detail)


def _differs(order_id: str, *fields: FieldDifference) -> Verdict:
    return Verdict(order_id, Kind.DIFFERS, fields=fields)


def _in_words(found: Sequence[FieldDifference]) -> str:
    return "; ".join(map(str, found))
