"""Tables beside the orders: dead letters, quarantine, operators' words, the relay's lease, marks, notices, messages."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from outbox.schema.columns import Time, column, metadata

GIVEN_UP: Final = "given up: "
"""A redrive's result begins so if the letter was given up, not processed; the operator's reason follows."""

dead_letters = sa.Table(
    "dead_letter",
    metadata,
    column("consumer_group", sa.Text, "who could not process it", primary_key=True),
    column("topic", sa.Text, "where it came from, with the prefix", primary_key=True),
    column("partition", sa.Integer, "where it came from", primary_key=True),
    column("message_offset", sa.BigInteger, "where it came from", primary_key=True),
    column("message_at", Time, "the message's timestamp"),
    column("key", BYTEA, "original key", nullable=True),
    column("body", BYTEA, "original body, card numbers masked, tokens hidden; empty: none may be shown", nullable=True),
    column("header_names", ARRAY(sa.Text), "original headers"),
    column("header_values", ARRAY(BYTEA), "original headers, card numbers masked"),
    column("masked", sa.Boolean, "card numbers were masked (then it cannot be redriven), or a token hidden"),
    column("reason", sa.Text, "see schemas.rejection.Reason"),
    column("detail", sa.Text, "what is wrong and what to do"),
    column("first_at", Time, "when it was refused", server_default=sa.text("now()")),
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), nullable=False, unique=True, comment="names it"),
    column(
        "origin",
        BYTEA,
        "SHA-256 of key, body, headers; empty: before 0004",
        primary_key=True,
        server_default=sa.text("''"),
    ),
    column("event_id", UUID, "the event, where it can be read", nullable=True),
    column("order_id", sa.Text, "the order, where it can be read", nullable=True),
    column("own_inbox", sa.Boolean, "its inbox row is its own", server_default=sa.text("false")),
    column("count", sa.Integer, "how often it was refused", server_default=sa.text("1")),
    column("waits", sa.Boolean, "in quarantine: later messages wait too", server_default=sa.text("false")),
    column("behind", sa.Boolean, "waits behind another of its order", server_default=sa.text("false")),
    column("to_offset", sa.BigInteger, "of an unreadable stretch: its last record", nullable=True),
    column("redriven_at", Time, "when a redrive had its effect, or it was given up", nullable=True),
    column("original", BYTEA, "the body with its payment token; null: body is all, or it is erased", nullable=True),
    column(
        "token_hidden",
        sa.Boolean,
        "body was searched for tokens; false: a release before 0015 wrote it",
        server_default=sa.text("false"),
    ),
    column("erased_at", Time, "when original was erased: from then on it cannot be redriven", nullable=True),
    comment="Messages that can never be processed, and why",
)
sa.Index("dead_letter_order_id_idx", dead_letters.c.order_id, postgresql_where=sa.text("waits"))
sa.Index("dead_letter_first_at_idx", dead_letters.c.first_at, postgresql_where=sa.text("reason = 'quarantined'"))
sa.Index("dead_letter_original_idx", dead_letters.c.first_at, postgresql_where=sa.text("original IS NOT NULL"))
sa.Index("dead_letter_token_hidden_idx", dead_letters.c.id, postgresql_where=sa.text("NOT token_hidden"))

redrives = sa.Table(
    "redrive",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of redrives"),
    column("letter_id", sa.BigInteger, "dead_letter.id, or quarantine.id where kind says so"),
    column("kind", sa.Text, "letter, or quarantine.kind"),
    column("at", Time, "when", server_default=sa.text("now()")),
    column("by", sa.Text, "who"),
    column("result", sa.Text, "what came of it"),
    comment="Who had which dead letter processed once more, and what came of it",
)
sa.Index("redrive_letter_id_idx", redrives.c.letter_id)

quarantines = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="names it"),
    column("kind", sa.Text, "operation (settle, act), order (sweep) or message (relay)"),
    column("order_id", sa.Text, "the order", nullable=True),
    column("operation_id", UUID, "the operation whose answer raised", nullable=True),
    column("message_id", sa.BigInteger, "event.id of the message that raised", nullable=True),
    column("detail", sa.Text, "the error's type and words"),
    column("trace", sa.Text, "where it was raised"),
    column("at", Time, "when", server_default=sa.text("now()")),
    column("released_at", Time, "when an operator let it go on", nullable=True),
    comment="Work that raised an error here and waits for an operator",
)
sa.Index("quarantine_order_id_idx", quarantines.c.order_id, postgresql_where=sa.text("released_at IS NULL"))
sa.Index("quarantine_at_idx", quarantines.c.at)

passed_stretches = sa.Table(
    "passed_stretch",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of the operators' words"),
    column("consumer_group", sa.Text, "who cannot read on"),
    column("topic", sa.Text, "where, with the prefix"),
    column("topic_id", sa.Text, "tells the topic from others of its name; empty: brokers do not say"),
    column("partition", sa.Integer, "where"),
    column("from_offset", sa.BigInteger, "the first record to pass over"),
    column("to_offset", sa.BigInteger, "the last record to pass over"),
    column("reason", sa.Text, "why the operator passes over it"),
    column("by", sa.Text, "who"),
    column("at", Time, "when", server_default=sa.text("now()")),
    column("applied_at", Time, "when the blocked consumer went on behind it; null: not yet", nullable=True),
    comment="Stretches of partitions that no client can read and an operator passed over",
)

relay_leases = sa.Table(
    "relay_lease",
    metadata,
    column("single", sa.Boolean, "always true: there is one row", primary_key=True, server_default=sa.text("true")),
    column("holder", sa.Text, "who sends, a name that no other process has"),
    column("until", Time, "another may take it from then on"),
    sa.CheckConstraint("single", name="single"),
    comment="Which relay sends: one row",
)

resolutions = sa.Table(
    "resolution",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of the operators' words"),
    column("order_id", sa.Text, "the order under review"),
    column("review_reason", sa.Text, "what the review was about, see domain.ways_out"),
    column("word", sa.Text, "executed or not-executed"),
    column("reference", sa.Text, "the gateway's id of what was looked at", nullable=True),
    column("reason", sa.Text, "why the operator says so"),
    column("by", sa.Text, "who"),
    column("at", Time, "when", server_default=sa.text("now()")),
    comment="What operators said of orders under review",
)
sa.Index("resolution_order_id_idx", resolutions.c.order_id)

early_messages = sa.Table(
    "early_message",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of arrival"),
    column("consumer_group", sa.Text, "who waits for the order"),
    column("topic", sa.Text, "where it came from, with the prefix"),
    column("partition", sa.Integer, "where it came from"),
    column("message_offset", sa.BigInteger, "where it came from"),
    column("message_at", sa.BigInteger, "the message's timestamp, milliseconds since 1970"),
    column("key", BYTEA, "original key", nullable=True),
    column("body", BYTEA, "original body", nullable=True),
    column("header_names", ARRAY(sa.Text), "original headers"),
    column("header_values", ARRAY(BYTEA), "original headers"),
    column("event_id", UUID, "the event"),
    column("order_id", sa.Text, "the order that it waits for"),
    column("received_at", Time, "when it came", server_default=sa.text("now()")),
    column("look_at", Time, "when its order is looked for next"),
    column("give_up_at", Time, "when it becomes a dead letter"),
    comment="Messages that came before their order, and wait for it",
)
sa.Index("early_message_order_id_idx", early_messages.c.order_id)
sa.Index("early_message_look_at_idx", early_messages.c.look_at)

low_waters = sa.Table(
    "low_water",
    metadata,
    column("name", sa.Text, "which search begins there", primary_key=True),
    column("at", Time, "nothing older is of interest to that search"),
    comment="Where the sweep's searches over all orders begin",
)

gateway_notices = sa.Table(
    "gateway_notice",
    metadata,
    column("notice_id", sa.Text, "the gateway's id of its event: kept once", primary_key=True),
    column("type", sa.Text, "the gateway's type of event, see domain.notices"),
    column("occurred_at", Time, "when, by the gateway's clock"),
    column("object_id", sa.Text, "the gateway's id of what it is about"),
    column("intent_id", sa.Text, "the gateway's transaction; null: the object names none", nullable=True),
    column("order_id", sa.Text, "the order, from our metadata; null: the object has none", nullable=True),
    column("operation_id", UUID, "the operation, from our metadata; null: the object has none", nullable=True),
    column("received_at", Time, "when we kept it", server_default=sa.text("now()")),
    column("fate", sa.Text, "waiting, woken, known, kept (the gateway is asked), applied, foreign, unknown_order"),
    column("due_at", Time, "when it is looked at next; null: not again", nullable=True),
    column(
        "ask_at",
        Time,
        "if it is kept: when the gateway is asked about it next",
        server_default=sa.text("now()"),
        nullable=True,
    ),
    comment="What the gateway told unasked; never its body",
)
sa.Index("gateway_notice_due_at_idx", gateway_notices.c.due_at, postgresql_where=sa.text("due_at IS NOT NULL"))
sa.Index("gateway_notice_received_at_idx", gateway_notices.c.received_at)
sa.Index("gateway_notice_ask_at_idx", gateway_notices.c.ask_at, postgresql_where=sa.text("fate = 'kept'"))
sa.Index(
    "gateway_notice_order_id_idx",
    gateway_notices.c.order_id,
    postgresql_where=sa.text("fate IN ('kept', 'applied')"),
)

messages = sa.Table(
    "message",
    metadata,
    column("event_id", UUID, "the event that asked for it: sent once", primary_key=True),
    column("order_id", sa.Text, "the order"),
    column("customer_id", sa.Text, "who is told; the address is never stored"),
    column("kind", sa.Text, "see schemas.events.NotificationKind"),
    column("failure_code", sa.Text, "why, see domain.failure_codes; null: nothing failed", nullable=True),
    column("text", sa.Text, "the sentence that says why; empty: nothing failed"),
    column("amount_minor", sa.BigInteger, "minor units that it is about"),
    column("currency", sa.Text, "ISO 4217"),
    column("money", sa.Text, "see schemas.events.MoneyState"),
    column("retryable", sa.Boolean, "the customer may pay again"),
    column("retry_until", Time, "until then", nullable=True),
    column("missing", JSONB, "[[sku, requested, available or null], ...]", nullable=True),
    column("occurred_at", Time, "when it was asked for"),
    column("send_until", Time, "afterwards it is stale"),
    column("state", sa.Text, "waiting, sent, stale, given_up"),
    column("tries", sa.Integer, "how often it was turned away"),
    column("due_at", Time, "end of the lease, or the time of the next try; null: done", nullable=True),
    column("error", sa.Text, "why the last try failed; never an address", nullable=True),
    column("settled_at", Time, "when it was sent, stale or given up", nullable=True),
    column("by", sa.Text, "the operator who had it tried again", nullable=True),
    column("reason", sa.Text, "why the operator did", nullable=True),
    comment="Messages to customers that wait to be sent, and those of the last days; not used by the notifier log",
)
sa.Index("message_due_at_idx", messages.c.due_at, postgresql_where=sa.text("due_at IS NOT NULL"))
sa.Index("message_settled_at_idx", messages.c.settled_at, postgresql_where=sa.text("state IN ('sent', 'stale')"))
sa.Index("message_given_up_idx", messages.c.occurred_at, postgresql_where=sa.text("state = 'given_up'"))
sa.Index("message_order_id_idx", messages.c.order_id)

audit_runs = sa.Table(
    "audit_run",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of the runs"),
    column("began_at", Time, "when it began", server_default=sa.text("now()")),
    column("lease_until", Time, "from then on another may run, if this one has not ended"),
    column("ended_at", Time, "when it ended; null: it has not, or its process is gone", nullable=True),
    column("newest_event", sa.BigInteger, "the largest event.id when it began"),
    column("newest_xid", sa.BigInteger, "the next transaction id when it began: that event's transaction is older"),
    column("after_event", sa.BigInteger, "it looks at the orders of later events"),
    column("through_event", sa.BigInteger, "up to this one"),
    column("reaches_to", Time, "what changed before was looked at, by this run or an earlier one", nullable=True),
    column("orders", sa.Integer, "how many orders it looked at", nullable=True),
    column("found", JSONB, "violations by the number of the invariant", nullable=True),
    column("examples", ARRAY(sa.Text), "the first of them, a line each", nullable=True),
    column(
        "again", ARRAY(sa.Text), "orders that the next run looks at, too: broken ones, unsettled ones", nullable=True
    ),
    comment="Audits of the orders that changed, of the last days",
)

reviews = sa.Table(
    "review",
    metadata,
    column(
        "order_id", sa.Text, "an order that came under review; see orders.status whether it still is", primary_key=True
    ),
    column("since", Time, "when it came under review", server_default=sa.text("now()")),
    comment="Where to look for open reviews: an index on the status would be written at every step of an order",
)
