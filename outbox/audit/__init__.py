"""The audit: the invariants of the whole pipeline, checked against the database, the gateway's books and the topics.

What belongs here: questions to one snapshot of the database, and what their answers mean. Never here: a change of
anything, a connection to the gateway or to Kafka (`deploy.auditing` hands both in), a rule that a consumer would need.
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
