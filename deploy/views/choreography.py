"""The choreography as the code has it: topics, reactions, their rows of both tables, and the edges between statuses.

The diagram and tables in README come from here; a test compares them.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from consumers import gateway_told
from consumers.reactions import REACTIONS
from domain.cancelling import CANCELLING
from domain.edges import EDGES
from domain.operation import OperationKind
from domain.order import Status
from domain.reaction import Reaction
from domain.rows import ANY, EVERY, On, When
from schemas.events import CustomerNotificationRequested, PaymentReviewRequired, StockAdjusted
from schemas.topics import TOPICS

READERS: Final = {
    "CustomerActionRequired": "storefront",
    "PaidAndConfirmed": "delivery, order preparation",
    "PaymentVoided": "accounting",
    "PaymentRefunded": "accounting",
    "PaymentRefundFailed": "accounting",
    "PaymentDisputed": "customer service, accounting",
    "PaymentDisputeClosed": "customer service, accounting",
    "RefundRefused": "customer service",
    "ItemsRestocked": "whoever watches stock",
    "CancellationRefused": "storefront",
    "PaymentReviewRequired": "operators",
    "ReservationReleased": "whoever watches stock",
}
"""Who subscribes to the topics that this module only writes."""
PLACES: Final = {CustomerNotificationRequested.TYPE: "the notifier", StockAdjusted.TYPE: "the stock"}
"""What reactions that ask for no operation act on."""
_TOLD: Final = frozenset(event.TYPE for event in gateway_told.EMITS) - {PaymentReviewRequired.TYPE}
NO_ORDER: Final = "no order"
_STATUSES: Final = (None, *Status)


def as_json() -> dict[str, Any]:
    """Return the whole choreography as one document."""
    return {
        "topics": [
            {"topic": name, "published_by": str(topic.publisher), "reaction": _reaction_of(name)}
            for name, topic in TOPICS.items()
        ],
        "reactions": [
            {
                "name": reaction.name,
                "group": reaction.group,
                "topic": reaction.trigger.TYPE,
                "asks": _asks(reaction),
                "emits": _emits(reaction),
                "plans": [_plan(row) for row in reaction.plans],
                "settles": [_settle(row) for row in reaction.settles],
            }
            for reaction in REACTIONS
        ],
        "cancelling": [_settle(row) for row in CANCELLING],
        "told": [
            {
                "fact": row.fact.__name__,
                "condition": row.condition.__name__,
                "when": does(row.condition),
                "step": row.step.__name__,
                "does": does(row.step),
            }
            for row in gateway_told.ROWS
        ],
        "edges": [[_status(before), str(after)] for before, after in _edges()],
    }


def rows_of(reaction: Reaction) -> tuple[Sequence[tuple[str, ...]], Sequence[tuple[str, ...]]]:
    """Return the rows of both tables as cells. Rows of outcomes only for calls that the reaction makes."""
    plans = [(_all(row.all_statuses()), row.condition.__name__, row.step.__name__) for row in reaction.plans]
    settles = [
        (_kinds(row), " or ".join(_outcomes(row)), _all(row.all_statuses()), row.condition.__name__, row.step.__name__)
        for row in reaction.settles
        if reaction.calls & set(row.all_kinds())
    ]
    return plans, settles


def rows_cancelling() -> Sequence[tuple[str, ...]]:
    """Return the rows of outcomes while a cancel is noted, as cells."""
    return [
        (_kinds(row), " or ".join(_outcomes(row)), _all(row.all_statuses()), row.condition.__name__, row.step.__name__)
        for row in CANCELLING
    ]


def rows_told() -> Sequence[tuple[str, ...]]:
    """Return the rows about what the gateway tells unasked, as cells."""
    return [(row.fact.__name__, row.condition.__name__, row.step.__name__) for row in gateway_told.ROWS]


def mermaid() -> str:
    """Return the diagram of topics and reactions, for Mermaid."""
    lines = ["flowchart LR"]
    for name, topic in TOPICS.items():
        writers = [reaction.name for reaction in REACTIONS if name in _emits(reaction)]
        if name in _TOLD:
            writers.append("gateway_told")
        source = " & ".join(writers) or _node(str(topic.publisher))
        if reader := _reaction_of(name):
            lines.append(f"  {source} -- {name} --> {reader}")
        elif writers:
            lines.append(f"  {source} -- {name} --> {_node(READERS[name])}")
    return "\n".join(lines)


def _node(name: str) -> str:
    """Return a node for somebody outside; its id is the last word of the first of them."""
    return f"{name.split(',', maxsplit=1)[0].rsplit(maxsplit=1)[-1]}([{name}])"


def markdown() -> str:
    """Return the table of reactions for a README."""
    heads = ("file of `consumers/`", "topic", "published by", "reaction", "asks for", "emits")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for reaction in REACTIONS:
        topic = reaction.trigger.TYPE
        cells = (
            f"`{reaction_file(reaction)}`",
            topic,
            str(TOPICS[topic].publisher),
            reaction.name,
            ", ".join(_asks(reaction)) or PLACES.get(topic, "nothing"),
            ", ".join(_emits(reaction)) or "nothing",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reaction_file(reaction: Reaction) -> str:
    """Return the file of a reaction: its topic in snake case."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in reaction.trigger.TYPE).lstrip("_") + ".py"


def edges_by_status() -> Sequence[tuple[str, ...]]:
    """Return for each status the statuses that an order may reach from it."""
    return [
        (_status(before), ", ".join(str(after) for _, after in group))
        for before, group in groupby(_edges(), key=lambda edge: edge[0])
    ]


def does(function: Callable[..., Any]) -> str:
    """Return what a step does, or when a condition holds: the first line of its docstring."""
    return (function.__doc__ or "").strip().splitlines()[0]


def _plan(row: When) -> dict[str, Any]:
    return {"statuses": [_status(status) for status in row.all_statuses()], **_named(row)}


def _settle(row: On) -> dict[str, Any]:
    return {
        "operations": [str(kind) for kind in row.all_kinds()],
        "outcomes": _outcomes(row),
        "statuses": [str(status) for status in row.all_statuses()],
        **_named(row),
    }


def _named(row: When | On) -> dict[str, Any]:
    return {
        "condition": row.condition.__name__,
        "when": does(row.condition),
        "step": row.step.__name__,
        "does": does(row.step),
    }


def _outcomes(row: On) -> list[str]:
    return [outcome.__name__ for outcome in row.outcomes]


def _kinds(row: On) -> str:
    return "every call" if row.all_kinds() == EVERY else " or ".join(row.all_kinds())


def _all(statuses: Sequence[Status | None]) -> str:
    if set(ANY) <= set(statuses):
        return "any"
    return " or ".join(map(_status, statuses))


def _status(status: Status | None) -> str:
    return NO_ORDER if status is None else str(status)


def _edges() -> Iterable[tuple[Status | None, Status]]:
    return sorted(EDGES, key=lambda edge: tuple(map(_STATUSES.index, edge)))


def _reaction_of(topic: str) -> str | None:
    return next((reaction.name for reaction in REACTIONS if topic == reaction.trigger.TYPE), None)


def _emits(reaction: Reaction) -> list[str]:
    return [event.TYPE for event in reaction.emits]


def _asks(reaction: Reaction) -> list[str]:
    return [str(kind) for kind in OperationKind if kind in reaction.calls]
