"""The audit: the invariants of the whole pipeline, checked against the database, the gateway's ledger and the topics.

The comparison with the gateway's lists (reconcile) shares its way to compare. `rebuild` folds the topics alone, and
compares orders with what they say.

What belongs here: queries on one snapshot of the database, and how to judge their answers. Never here: changing data,
a connection to the gateway or to Kafka (`deploy.auditing` passes both in), a rule that a consumer needs.
"""

from outbox.audit.books import Scope
from outbox.audit.differences import Difference, Kind
from outbox.audit.goods import GoodsCompared, compare_goods, compare_stock
from outbox.audit.hold_differences import HoldDifference, HoldKind
from outbox.audit.holds import read_holds
from outbox.audit.listed import LATE, Lists, read_lists
from outbox.audit.quiescence import unfinished_work
from outbox.audit.recent import NUMBERED, Audited, audit_changed
from outbox.audit.reconciling import Reconciliation, reconcile
from outbox.audit.report import Invariant, Report
from outbox.audit.run import audit, wait_until_quiet
from outbox.audit.topics import Committed, TopicMessage, TopicReader, Unreadable

__all__ = [
    "LATE",
    "NUMBERED",
    "Audited",
    "Committed",
    "Difference",
    "GoodsCompared",
    "HoldDifference",
    "HoldKind",
    "Invariant",
    "Kind",
    "Lists",
    "Reconciliation",
    "Report",
    "Scope",
    "TopicMessage",
    "TopicReader",
    "Unreadable",
    "audit",
    "audit_changed",
    "compare_goods",
    "compare_stock",
    "read_holds",
    "read_lists",
    "reconcile",
    "unfinished_work",
    "wait_until_quiet",
]
