"""Make room for quarantine, redrives, passed stretches, resolved reviews, the relay's lease, and the inbox's content.

It only adds columns, tables and small indexes; the key of `dead_letter` grows by a column with a default. The release
before may run on meanwhile.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)
BIG = sa.BigInteger()
TRIES = "calls that had an answer, or were given up without one"
OLD_TRIES = "calls made, or at least begun"


def upgrade() -> None:
    """Add what the edges need."""
    op.alter_column("operation", "tries", comment=TRIES, existing_comment=OLD_TRIES)
    _letters()
    _quarantine()
    op.create_table(
        "passed_stretch",
        sa.Column("id", BIG, sa.Identity(cache=1), nullable=False, comment="order of the operators' words"),
        _c("consumer_group", sa.Text(), "who cannot read on"),
        _c("topic", sa.Text(), "where, with the prefix"),
        _c("topic_id", sa.Text(), "tells the topic from others of its name; empty: brokers do not say"),
        _c("partition", sa.Integer(), "where"),
        _c("from_offset", BIG, "the first record to pass over"),
        _c("to_offset", BIG, "the last record to pass over"),
        _c("reason", sa.Text(), "why the operator passes over it"),
        _c("by", sa.Text(), "who"),
        _c("at", TIME, "when", server_default=sa.text("now()")),
        sa.Column("applied_at", TIME, comment="when the blocked consumer went on behind it; null: not yet"),
        sa.PrimaryKeyConstraint("id", name=op.f("passed_stretch_pkey")),
        comment="Stretches of partitions that no client can read and an operator passed over",
    )
    op.create_table(
        "relay_lease",
        _c("single", sa.Boolean(), "always true: there is one row", server_default=sa.text("true")),
        _c("holder", sa.Text(), "who sends, a name that no other process has"),
        _c("until", TIME, "another may take it from then on"),
        sa.CheckConstraint("single", name=op.f("relay_lease_single_check")),
        sa.PrimaryKeyConstraint("single", name=op.f("relay_lease_pkey")),
        comment="Which relay sends: one row",
    )
    op.create_table(
        "resolution",
        sa.Column("id", BIG, sa.Identity(cache=1), nullable=False, comment="order of the operators' words"),
        _c("order_id", sa.Text(), "the order under review"),
        _c("review_reason", sa.Text(), "what the review was about, see domain.ways_out"),
        _c("word", sa.Text(), "executed or not-executed"),
        sa.Column("reference", sa.Text(), comment="the gateway's id of what was looked at"),
        _c("reason", sa.Text(), "why the operator says so"),
        _c("by", sa.Text(), "who"),
        _c("at", TIME, "when", server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("id", name=op.f("resolution_pkey")),
        comment="What operators said of orders under review",
    )
    op.create_index("resolution_order_id_idx", "resolution", ["order_id"])
    op.create_table(
        "low_water",
        _c("name", sa.Text(), "which search begins there"),
        _c("at", TIME, "nothing older is of interest to that search"),
        sa.PrimaryKeyConstraint("name", name=op.f("low_water_pkey")),
        comment="Where the sweep's searches over all orders begin",
    )
    # Last: it locks every day of the inbox, while the letters are written anew with their bodies.
    op.add_column(
        "inbox",
        sa.Column("content", BIG, comment="64 bits of a hash of order id and content; null: written before 0004"),
    )


def _letters() -> None:
    """Tell letters of a topic made anew from older ones; note what a redrive needs to know."""
    op.add_column("dead_letter", sa.Column("id", BIG, sa.Identity(cache=1), nullable=False, comment="names it"))
    for column in (
        _c(
            "origin",
            postgresql.BYTEA(),
            "SHA-256 of key, body, headers; empty: before 0004",
            server_default=sa.text("''"),
        ),
        sa.Column("event_id", sa.UUID(), comment="the event, where it can be read"),
        sa.Column("order_id", sa.Text(), comment="the order, where it can be read"),
        _c("own_inbox", sa.Boolean(), "its inbox row is its own", server_default=sa.text("false")),
        _c("count", sa.Integer(), "how often it was refused", server_default=sa.text("1")),
        _c("waits", sa.Boolean(), "in quarantine: later messages wait too", server_default=sa.text("false")),
        _c("behind", sa.Boolean(), "waits behind another of its order", server_default=sa.text("false")),
        sa.Column("to_offset", BIG, comment="of an unreadable stretch: its last record"),
        sa.Column("redriven_at", TIME, comment="when a redrive had its effect, or it was given up"),
    ):
        op.add_column("dead_letter", column)
    op.drop_constraint("dead_letter_pkey", "dead_letter")
    op.create_primary_key(
        "dead_letter_pkey", "dead_letter", ["consumer_group", "topic", "partition", "message_offset", "origin"]
    )
    op.create_unique_constraint("dead_letter_id_key", "dead_letter", ["id"])
    op.create_index("dead_letter_order_id_idx", "dead_letter", ["order_id"], postgresql_where=sa.text("waits"))
    op.create_index(
        "dead_letter_first_at_idx", "dead_letter", ["first_at"], postgresql_where=sa.text("reason = 'quarantined'")
    )
    op.create_table(
        "redrive",
        sa.Column("id", BIG, sa.Identity(cache=1), nullable=False, comment="order of redrives"),
        _c("letter_id", BIG, "dead_letter.id, or quarantine.id where kind says so"),
        _c("kind", sa.Text(), "letter, or quarantine.kind"),
        _c("at", TIME, "when", server_default=sa.text("now()")),
        _c("by", sa.Text(), "who"),
        _c("result", sa.Text(), "what came of it"),
        sa.PrimaryKeyConstraint("id", name=op.f("redrive_pkey")),
        comment="Who had which dead letter processed once more, and what came of it",
    )
    op.create_index("redrive_letter_id_idx", "redrive", ["letter_id"])


def _quarantine() -> None:
    """Keep what raised and has no place on a topic: operations' answers, work of the sweep, rows of the relay."""
    op.create_table(
        "quarantine",
        sa.Column("id", BIG, sa.Identity(cache=1), nullable=False, comment="names it"),
        _c("kind", sa.Text(), "operation (settle, act), order (sweep) or message (relay)"),
        sa.Column("order_id", sa.Text(), comment="the order"),
        sa.Column("operation_id", sa.UUID(), comment="the operation whose answer raised"),
        sa.Column("message_id", BIG, comment="event.id of the message that raised"),
        _c("detail", sa.Text(), "the error's type and words"),
        _c("trace", sa.Text(), "where it was raised"),
        _c("at", TIME, "when", server_default=sa.text("now()")),
        sa.Column("released_at", TIME, comment="when an operator let it go on"),
        sa.PrimaryKeyConstraint("id", name=op.f("quarantine_pkey")),
        comment="Work that raised an error here and waits for an operator",
    )
    op.create_index(
        "quarantine_order_id_idx", "quarantine", ["order_id"], postgresql_where=sa.text("released_at IS NULL")
    )
    op.create_index("quarantine_at_idx", "quarantine", ["at"])


def _c(name: str, type_: object, comment: str, **options: object) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False, **options)  # type: ignore[arg-type]


def downgrade() -> None:
    """Undo it. Letters that only the new key tells apart are not kept twice."""
    for table in ("low_water", "resolution", "relay_lease", "passed_stretch", "quarantine", "redrive"):
        op.drop_table(table)
    op.drop_index("dead_letter_first_at_idx", "dead_letter")
    op.drop_index("dead_letter_order_id_idx", "dead_letter")
    op.execute(
        "DELETE FROM dead_letter a USING dead_letter b WHERE a.id > b.id AND a.consumer_group = b.consumer_group"
        " AND a.topic = b.topic AND a.partition = b.partition AND a.message_offset = b.message_offset"
    )
    op.drop_constraint("dead_letter_id_key", "dead_letter")
    op.drop_constraint("dead_letter_pkey", "dead_letter")
    op.create_primary_key("dead_letter_pkey", "dead_letter", ["consumer_group", "topic", "partition", "message_offset"])
    for name in (
        "redriven_at",
        "to_offset",
        "behind",
        "waits",
        "count",
        "own_inbox",
        "order_id",
        "event_id",
        "origin",
        "id",
    ):
        op.drop_column("dead_letter", name)
    op.drop_column("inbox", "content")
    op.alter_column("operation", "tries", comment=OLD_TRIES, existing_comment=TRIES)
