"""The audit: the invariants of the whole pipeline, checked against the database, the gateway's ledger and the topics.

What belongs here: queries on one snapshot of the database, and how to judge their answers. Never here: changing data,
a connection to the gateway or to Kafka (`deploy.auditing` passes both in), a rule that a consumer needs.
"""

from outbox.audit.books import Scope
from outbox.audit.report import Invariant, Report
from outbox.audit.run import audit, wait_until_quiet
from outbox.audit.topics import Committed, TopicMessage, TopicReader, Unreadable

__all__ = [
    "Committed",
    "Invariant",
    "Report",
    "Scope",
    "TopicMessage",
    "TopicReader",
    "Unreadable",
    "audit",
    "wait_until_quiet",
]
