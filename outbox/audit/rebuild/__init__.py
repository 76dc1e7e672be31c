"""Invariant 12: the topics alone give the same orders. A fold of events, not a run of the pipeline.

What belongs here: what one event says of its order, the fold of all that were said, the orders as the database has
them, and the judgement of each pair. Never here: a rule that decides about an order, a call to the outside world, a
change of the live database.
"""

from outbox.audit.rebuild.judge import Apart, Kind, Verdict
from outbox.audit.rebuild.run import Rebuilt, Sides, TopicHistory, rebuild
from outbox.audit.rebuild.scratch import DEFAULT_SCHEMA, Scratch, ScratchRefused, open_scratch
from outbox.audit.rebuild.state import AttemptState, FieldDifference, OrderState

__all__ = [
    "DEFAULT_SCHEMA",
    "Apart",
    "AttemptState",
    "FieldDifference",
    "Kind",
    "OrderState",
    "Rebuilt",
    "Scratch",
    "ScratchRefused",
    "Sides",
    "TopicHistory",
    "Verdict",
    "open_scratch",
    "rebuild",
]
