"""Every alarm of this module: its reason, what it means, and what an operator does about it.

An alarm is a log line at ERROR with `alarm=true`, `reason` and the ids that it is about. Only this file writes such
lines. Every reason has a row here. deploy/README.md shows the table, and a test compares the two.
"""

from typing import Any, Final, NamedTuple, Protocol

from schemas.rejection import Reason


class Alarm(NamedTuple):
    """meaning: what is wrong. todo: what the operator does now. Each is one or two plain sentences."""

    meaning: str
    todo: str


class Log(Protocol):
    """What alarms need of a logger. structlog's loggers have it."""

    def error(self, event: str, **fields: Any) -> Any:
        """Write a line at ERROR."""
        ...

    def info(self, event: str, **fields: Any) -> Any:
        """Write a line at INFO."""
        ...


_LETTER = "A message cannot be processed; it is kept as a dead letter."
_SEE_LETTER = "Read it with `payments dlq show ID`; mend the cause; then `payments dlq redrive ID`, or publish it anew."
_REVIEW = "An order waits for a person."
_RESOLVE = "See `payments order show ID`, look the payment up at the gateway, then `payments order resolve ID`."

_RUNNING: Final = {
    "dependency_down": Alarm(
        "PostgreSQL, Kafka or the schema registry does not answer, or not in time. Work waits and nothing is lost.",
        "Bring it back; the process goes on by itself.",
    ),
    "lock_held": Alarm(
        "Another session holds a lock on a row or a table of ours. Orders that need the row wait, others go on; for a "
        "table all wait.",
        "Look at the session that the line names, and have it end its transaction; or an administrator runs the line's "
        "`remedy`. What waited goes on by itself.",
    ),
    "kafka_down": Alarm(
        "Kafka does not answer this consumer. Messages wait on their topics.",
        "Bring it back; the process goes on by itself.",
    ),
    "transaction_open": Alarm(
        "A producer's transaction is open on a partition. Messages behind its beginning wait until it ends.",
        "Find the producer (`kafka-transactions.sh --bootstrap-server ... find-hanging`) and end it, or abort it.",
    ),
    "gateway_down": Alarm(
        "The gateway refuses or does not answer. Consumers that need it pause.",
        "Check the gateway's status and PAYMENTS_STRIPE_API_KEY; the process goes on by itself.",
    ),
    "inventory_down": Alarm(
        "The inventory elsewhere refuses or does not answer. Reserving and capturing pause; authorizations go on.",
        "Check the inventory, PAYMENTS_INVENTORY_URL and PAYMENTS_INVENTORY_TOKEN; the process goes on by itself.",
    ),
    "gateway_forbids": Alarm(
        "The gateway takes our key, but does not permit one kind of call. Such calls are tried again; others go on.",
        "Give PAYMENTS_STRIPE_API_KEY the permission that the line's `why` names. Orders that gave up are in review.",
    ),
    "refunds_unread": Alarm(
        "The gateway's list of refunds could not be read for ten minutes. Refunds that fail late are not noticed "
        "meanwhile.",
        "Check the line's `error`. A restricted PAYMENTS_STRIPE_API_KEY needs permission to read refunds.",
    ),
    "preparation_of_cancelled": Alarm(
        "Order preparation has begun with an order that is cancelled, or will be: its money goes back.",
        "Have the preparation stopped, or the goods fetched back. Nothing is delivered against money by itself.",
    ),
    "amount_differs": Alarm(
        "The gateway approved another amount than we asked for. The approval is given back; the customer may try "
        "another payment method.",
        "Look the transaction up at the gateway. If it happens again, ask the gateway's support.",
    ),
    "webhook_refused": Alarm(
        "The endpoint for webhooks refused requests without a valid signature. They had no effect. The line counts "
        "them, once a minute at most.",
        "If the gateway's dashboard shows failed webhooks, set PAYMENTS_STRIPE_WEBHOOK_SECRET to the endpoint's "
        "secret, and check this machine's clock. Else somebody forges: block the sender in front of the endpoint.",
    ),
    "notices_unread": Alarm(
        "The gateway's list of events could not be read for ten minutes. Unknown outcomes are still looked up, and "
        "webhooks still come.",
        "Check the line's `error`. A restricted PAYMENTS_STRIPE_API_KEY needs permission to read events.",
    ),
    "notice_orphaned": Alarm(
        "The gateway tells of orders of ours that have not been in this database for a day.",
        "If another deployment uses the same account of the gateway, nothing is to be done. Else look for a database "
        "that was restored to an older state: deploy/RESTORE.md has the steps, and the last compares these payments.",
    ),
    "payment_disputed": Alarm(
        "A customer disputes a payment at their bank. The order keeps its status; the line comes once a dispute.",
        "See `payments order show ID`. Answer the dispute in the gateway's dashboard in time, or accept it there.",
    ),
    "dispute_unknown": Alarm(
        "A dispute has a status that this release does not know. It is kept, and nobody is told of it.",
        "Look at the dispute in the gateway's dashboard. Deploy a release that knows the status; then it is told.",
    ),
    "fraud_warning": Alarm(
        "The issuer warns that a payment may be fraud. No money has moved.",
        "Look at the order before it is delivered. A refund in time may avoid a dispute.",
    ),
    "foreign_refund_failed": Alarm(
        "A refund that somebody made at the gateway has failed: that money is ours again. A paid order keeps its "
        "status; of a failed order we send the money back.",
        "Tell who made the refund. For a paid order decide how the money reaches the customer.",
    ),
    "refund_made_late": Alarm(
        "The gateway made a refund of ours whose call had ended without it: a copy was under way for long. It is "
        "booked, with PaymentRefunded; nobody had counted on it.",
        "See `payments order show ID`: if the customer got the money by another refund as well, decide about the rest.",
    ),
    "money_unwanted": Alarm(
        "Somebody approved or captured money at the gateway for an order that has failed, or is paid by another "
        "attempt. It is given back.",
        "Find out who did it in the gateway's dashboard. See `payments order show ID` for the void or refund.",
    ),
    "notice_kept": Alarm(
        "The gateway told something a day ago that could not be booked: its order waits for a person or is under way, "
        "or books and gateway contradict each other. The line comes once a day.",
        "End the review of the order, if it is in one. Else compare the transaction at the gateway with `payments "
        "order show ID` and `payments reconcile`. If nothing is to be booked, for the money is settled otherwise: "
        "`payments order close-notices ID --reason TEXT`.",
    ),
    "told_unread": Alarm(
        "The gateway tells things unasked, and for ten minutes has not said what they are about. Nothing is lost.",
        "Check the line's `error`. A restricted PAYMENTS_STRIPE_API_KEY needs permission to read payments, refunds and "
        "disputes.",
    ),
    "notifier_down": Alarm(
        "No message to a customer can be sent: the mail server, the shop's webhook or the customer directory does not "
        "answer, or refuses us. Messages wait for a day; payments go on.",
        "Check what the line's `why` names, and the PAYMENTS_SMTP_*, PAYMENTS_NOTIFIER_* and "
        "PAYMENTS_CUSTOMER_DIRECTORY settings. What waits is sent by itself.",
    ),
    "message_given_up": Alarm(
        "Messages to customers were refused, have no address, or could not be sent in time. The line counts them.",
        "See `payments messages list --state given_up`; mend the cause; then `payments messages retry ID --reason`.",
    ),
    "contradiction": Alarm(
        "The gateway gave an answer that contradicts an earlier definite one. The earlier one stands.",
        "Look the transaction up at the gateway and compare it with `payments order show ID`.",
    ),
    "stuck": Alarm(
        "Nobody has worked on an order for long. Its events were sent again.",
        "See `payments order show ID`. If it happens again and again, look for lost Kafka data.",
    ),
    "audit_broken": Alarm(
        "An audit of changed orders found what must not be. A finding is told once, and looked at until it is gone.",
        "Run `payments audit`, see `payments order show ID` of the orders in `examples`, and compare them with the "
        "gateway. Report it.",
    ),
    "search_slow": Alarm(
        "The search for orders that stand still takes too long, however little it reads. Other work goes on.",
        "Relieve the database, or run `VACUUM ANALYZE orders`; the search goes on by itself.",
    ),
    "produce_refused": Alarm(
        "The broker refuses a message, or a whole topic. It and later messages of its order, or of the topic, wait; "
        "others go on.",
        "Do what the text says (topic settings, permissions, message size). The relay tries again by itself.",
    ),
    "topic_stalled": Alarm(
        "A partition takes nothing while others do. Messages of its topic wait; others go on.",
        "Bring its brokers back, or set min.insync.replicas of the topic; the relay goes on by itself.",
    ),
    "clock_wrong": Alarm(
        "The broker refuses messages because their time-stamps differ too much from its clock. They wait.",
        "Set the clocks of the relay's machine and of the brokers; the relay goes on by itself.",
    ),
    "topic_settings": Alarm(
        "Upstream topics keep messages for less than a day, or less than 1 GiB a partition. "
        "Orders that are not read in time are lost.",
        "Have the topic's owner keep messages longer, or run `payments topics create --mend-upstream`.",
    ),
    "inbox_days": Alarm(
        "The inbox has no partition for tomorrow. Without one for today, orders wait.",
        "See the line's `undone`: end the session that holds the lock or grant the right, then `payments migrate`.",
    ),
    "consumer_stalled": Alarm(
        "The broker has messages, and the client hands out none. The client was started anew.",
        "If it happens again and again, restart the process and keep its log.",
    ),
    "newer_schema": Alarm(
        "A message on a topic of ours has a schema that this release does not know. Its partition waits; others go on.",
        "Deploy the release that wrote it; the process goes on by itself. If none did: `payments dlq pass TOPIC "
        "PARTITION --from OFFSET --to OFFSET --reason`.",
    ),
    "topic_missing": Alarm(
        "A topic that this consumer reads does not exist. What is published on it waits at the publisher.",
        "Find out who deleted it; make it with `payments topics create`. The process goes on by itself.",
    ),
    "topic_made_anew": Alarm(
        "A topic was deleted and made anew, or cut off. Reading begins at its first message; repetitions do no harm.",
        "Find out who did it. Have checkout or storefront publish again what was not read of theirs; what this module "
        "published is sent again by itself.",
    ),
    "messages_lost": Alarm(
        "Kafka deleted messages before this consumer read them. It goes on behind them. What this module published is "
        "sent again by itself; orders of checkout may be lost.",
        "Have checkout or storefront publish theirs again; see that the topic keeps its messages (`payments topics "
        "create`).",
    ),
    "bug": Alarm(
        "The process stops: a bug, or something that it cannot go on without. Nothing is lost.",
        "Restart the process. If it stops again, go back to the last release and report the trace.",
    ),
}
_LETTERS: Final = {reason.value: Alarm(_LETTER, _SEE_LETTER) for reason in Reason} | {
    Reason.STOCK_SHORT.value: Alarm(
        "A warehouse took out more units of a SKU than are available. It is not applied; it is kept as a dead letter.",
        "See `payments stock show SKU` and find out which is wrong; when there are enough, `payments dlq redrive ID`.",
    ),
    Reason.QUARANTINED.value: Alarm(
        "A message, an operation or an order made this release raise an error. It waits, as do later messages of its "
        "order; others go on.",
        "Report the trace. After the fix is deployed: `payments dlq redrive --order ORDER`, for others may wait behind "
        "it; `payments dlq redrive ID` (the line's letter_id) where the line names no order.",
    ),
    Reason.UNREADABLE.value: Alarm(
        "A stretch of a partition cannot be read by any client. The partition waits, or an operator passed over it.",
        "Find the records in the publisher's log; then `payments dlq pass TOPIC PARTITION --from --to --reason`. What "
        "this module published is sent again by itself then.",
    ),
}
_CALLS: Final = ("authorize", "capture", "void", "refund", "reserve", "confirm", "release", "extend", "restock")
_REVIEW_CODES: Final = {
    "stuck": "Nobody worked on it, though its events were sent again several times.",
    "refund_failed": "The gateway refused the refund.",
    "void_refused": "The gateway refused the void, and the money is not captured either.",
    "transaction_missing": "The gateway does not have its transaction, though it has others of ours.",
    "captured_in_part": "Somebody captured a part of its money at the gateway.",
    "currency_differs": "The gateway approved another currency than we asked for.",
    **{f"{call}_unknown": f"We could not learn whether the {call} happened." for call in _CALLS},
    **{f"{call}_overdue": f"The {call} was accepted long ago, and its answer never came." for call in _CALLS},
    **{f"{call}_not_executed": f"The {call} was turned away too often." for call in _CALLS},
}
_ABOUT_GOODS: Final = ("reserve", "confirm", "release", "extend", "restock")
_RESOLVE_GOODS: Final = (
    "See `payments order show ID`, look the hold up at the inventory, then `payments order resolve ID`."
)
_REVIEWS: Final = {
    f"review_{code}": Alarm(f"{_REVIEW} {why}", _RESOLVE_GOODS if code.startswith(_ABOUT_GOODS) else _RESOLVE)
    for code, why in _REVIEW_CODES.items()
}
ALARMS: Final[dict[str, Alarm]] = _RUNNING | _LETTERS | _REVIEWS
"""By reason."""


def ring(log: Log, reason: str, text: str, **fields: object) -> None:
    """Write the log line of an alarm. fields: the ids that it is about.

    A reason without a row is logged, too: an alarm must never stop a process.
    """
    known = ALARMS.get(reason)
    log.error(text, alarm=True, reason=reason, todo=known.todo if known else "Report this line.", **fields)


REMIND_S: Final = 600
"""While a problem lasts, its alarm is repeated this often."""


class Lasting:
    """An alarm about a problem that lasts: logged at once, again every ten minutes, and when the problem ends.

    Call `again` each time the problem is seen, however often. now: a monotonic clock, in seconds.
    """

    def __init__(self, log: Log, reason: str) -> None:
        self._log = log
        self._reason = reason
        self._since: float | None = None
        self._rang_at = 0.0

    def again(self, now: float, text: str, **fields: object) -> bool:
        """Note that the problem is there; return whether the alarm was logged now."""
        if self._since is None:
            self._since = now
            ring(self._log, self._reason, text, **fields)
        elif now >= self._rang_at + REMIND_S:
            ring(self._log, self._reason, text, lasts_s=round(now - self._since), **fields)
        else:
            return False
        self._rang_at = now
        return True

    def end(self, now: float, text: str, **fields: object) -> None:
        """Note that the problem is over; log that, if an alarm was logged."""
        if self._since is not None:
            self._log.info(text, lasted_s=round(now - self._since), **fields)
            self._since = None
