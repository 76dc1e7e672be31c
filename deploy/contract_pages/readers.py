"""Who reads the contract: one page for each, with what they publish, what they subscribe to, and what they should do.

What a reader publishes is in the topic table. What it subscribes to stands here, and a test compares it with the
choreography's own table.
"""

from typing import Final

from deploy.contract_pages.reader import Reader, Theme
from schemas.topics import TOPICS, Publisher

_ONCE: Final = (
    "Act once for each `event_id`: write it in the transaction of your effect, as a unique key, and skip an event "
    "whose id is there already."
)
_OF_PUBLISHERS: Final = ("inbox_retention_days", "clock_skew_max_s", "message_bytes_max")
_MADE_UP: Final = "Derive `event_id` from what happened, not from the sending: a message that you send again keeps it."

READERS: Final = (
    Reader(
        slug="checkout",
        name="Checkout",
        about="You publish an order when the customer has confirmed it. This module takes the payment.",
        publisher=Publisher.CHECKOUT,
        reads=("PaidAndConfirmed", "PaymentFailed", "OrderCancelled"),
        settings=("order_max_age_s", "amount_max_minor", *_OF_PUBLISHERS),
        themes=(Theme.AMOUNT_LIMITS, Theme.FAILURE_CODES, Theme.LIVEMODE),
        advice=(
            _MADE_UP,
            (
                "An order id is one order for ever. Publish a changed order under a new id; the same id with other "
                "content is refused, and nothing is charged for it."
            ),
            (
                "`total_minor` is the sum of the lines, less `discount_minor`, plus both fees and `tax_minor`, "
                "exactly. Anything else is refused. 0 is allowed if it adds up; only then `payment_method` may be "
                "null."
            ),
            "Send the gateway's token, never a card number: a token that is or contains one is refused.",
        ),
    ),
    Reader(
        slug="storefront",
        name="Storefront",
        about="You show customers how the payment of their order goes on, and send what they decide.",
        publisher=Publisher.STOREFRONT,
        reads=(
            "CustomerActionRequired",
            "PaidAndConfirmed",
            "PaymentFailed",
            "OrderCancelled",
            "CancellationRefused",
            "CustomerNotificationRequested",
        ),
        settings=(
            "retry_window_s",
            "attempts_max",
            "action_timeout_s",
            "delayed_notice_s",
            "pending_hold_s",
            "cancel_window_s",
            "early_wait_s",
            *_OF_PUBLISHERS,
        ),
        themes=(Theme.FAILURE_CODES, Theme.RETRY_REFUSALS, Theme.CANCEL_REFUSALS, Theme.LIVEMODE),
        advice=(
            _ONCE,
            _MADE_UP,
            (
                "Offer another payment method exactly when `PaymentFailed.retryable` is true, until `retry_until`. "
                "Put the attempt that failed into `after_attempt`: the first retry that names it counts, others have "
                "no effect."
            ),
            (
                "A retry or a cancel that comes before its order waits for it. If the order never comes, it becomes "
                "a dead letter."
            ),
            (
                "CustomerActionRequired with kind `REDIRECT`: send the customer to `url` before `expires_at`. With "
                "`CONFIRM`, fetch the transaction from the gateway by `transaction_id`, and go on with the gateway's "
                "own script."
            ),
            (
                "`reason` is safe to show. Decide by `failure_code`, `retryable` and `money`, never by the text of "
                "`reason`."
            ),
        ),
    ),
    Reader(
        slug="customer-service",
        name="Customer service",
        about="You ask for refunds of paid orders, and answer customers about refunds and disputes.",
        publisher=Publisher.SERVICE,
        reads=(
            "PaymentRefunded",
            "RefundRefused",
            "PaymentRefundFailed",
            "PaymentDisputed",
            "PaymentDisputeClosed",
            "PaymentReviewRequired",
            "OrderCancelled",
        ),
        settings=("early_wait_s", "four_eyes_minor", "cancel_window_s", "refund_recheck_s", *_OF_PUBLISHERS),
        themes=(Theme.REVIEWS, Theme.CANCEL_REFUSALS),
        advice=(
            _ONCE,
            (
                "`request_id` names a refund of an order: each is taken once, in the order of arrival. A second one "
                "with the same id and other content is refused."
            ),
            "`amount_minor` null asks for all that is kept. `lines` are put back into stock; without lines nothing is.",
            (
                "A refund that succeeded may fail later at the bank: PaymentRefundFailed. A person then decides how "
                "the money reaches the customer."
            ),
        ),
    ),
    Reader(
        slug="delivery",
        name="Delivery",
        about="You deliver what is paid. PaidAndConfirmed is where you begin.",
        publisher=None,
        reads=("PaidAndConfirmed", "OrderCancelled", "PaymentFailed"),
        settings=("cancel_window_s",),
        themes=(Theme.LIVEMODE,),
        advice=(
            _ONCE,
            "Deliver nothing for which `livemode` is false: it was paid with play money.",
            (
                "A paid order may still be cancelled until its preparation starts, and for "
                "`PAYMENTS_CANCEL_WINDOW_S` at the most. Hand nothing over for which OrderCancelled came. It may reach "
                "you before PaidAndConfirmed, for they are on two topics: look for the other one in the transaction "
                "of each. If it comes after you have handed the goods over, get them back: the money is returned."
            ),
            "After PaymentFailed with `retryable` true the order may still be paid: PaidAndConfirmed says so.",
            (
                "The address is not here: no event has personal data. Ask the system that knows the order by its "
                "`order_id`."
            ),
        ),
    ),
    Reader(
        slug="order-preparation",
        name="Order preparation",
        about="You pick and pack what is paid, and say when you begin.",
        publisher=Publisher.PREPARATION,
        reads=("PaidAndConfirmed", "OrderCancelled"),
        settings=("cancel_window_s", "early_wait_s", *_OF_PUBLISHERS),
        themes=(Theme.LIVEMODE,),
        advice=(
            _ONCE,
            (
                "Publish PreparationStarted before the first item is picked: from then on the order is not cancelled. "
                "Whichever is taken first counts, yours or the cancel."
            ),
            (
                "If OrderCancelled comes nevertheless, the cancel was first: put the items back. Our operators hear "
                "of it, too (alarm `preparation_of_cancelled`)."
            ),
            "`lines` are added up per SKU and sorted by SKU. They are not the lines as the customer saw them.",
        ),
    ),
    Reader(
        slug="warehouse",
        name="Warehouse",
        about="You say what comes in and goes out; you see what is held, sold and put back.",
        publisher=Publisher.WAREHOUSE,
        reads=("ItemsReserved", "ReservationFailed", "ReservationReleased", "PaidAndConfirmed", "ItemsRestocked"),
        settings=("inventory", "reservation_ttl_s", *_OF_PUBLISHERS),
        themes=(Theme.LIVEMODE,),
        advice=(
            _ONCE,
            _MADE_UP,
            "The key of StockAdjusted is the SKU: changes of one SKU stay in order.",
            (
                "A `delta` that would take what is available below zero is not applied; it becomes a dead letter, "
                "`stock_short`, and is applied when an operator redrives it."
            ),
            (
                "A hold ends in PaidAndConfirmed (sold) or ReservationReleased. `expires_at` of ItemsReserved is "
                "when it lapses unless the order is paid before."
            ),
            (
                "ItemsRestocked may follow ReservationReleased of the same attempt: a hold that had run out here was "
                "found sold in the inventory elsewhere. Both are about the same units: count them once."
            ),
        ),
    ),
    Reader(
        slug="accounting",
        name="Accounting",
        about="You book what was taken, given back and disputed.",
        publisher=None,
        reads=(
            "PaidAndConfirmed",
            "PaymentAuthorized",
            "PaymentRefunded",
            "PaymentRefundFailed",
            "PaymentDisputed",
            "PaymentDisputeClosed",
            "PaymentVoided",
            "OrderCancelled",
            "PaymentReviewRequired",
        ),
        settings=("refund_recheck_s",),
        themes=(Theme.LIVEMODE, Theme.REVIEWS),
        advice=(
            _ONCE,
            (
                "Book nothing for which `livemode` is false. Events without that field are about the payment of the "
                "same `order_id` and `attempt`."
            ),
            (
                "Amounts are whole minor units of the `currency` beside them (ISO 4217: JPY has none, KWD has three "
                "digits). Never add amounts of two currencies."
            ),
            (
                "Money is taken at `PaidAndConfirmed.captured_at`, or earlier where `PaymentAuthorized.captured` is "
                "true. An order that failed after its money was taken has PaymentRefunded and no PaidAndConfirmed. "
                "PaymentVoided moved no money."
            ),
            "PaymentRefundFailed takes back a PaymentRefunded with the same `refund_id`.",
            (
                "One `refund_id` may be told in several parts, each a PaymentRefunded with its own `event_id` and "
                "amount: add them up. Never drop one because its `refund_id` is known."
            ),
            "What the gateway keeps as fees, and when it pays out, is not told here.",
        ),
    ),
    Reader(
        slug="analytics",
        name="Analytics",
        about="You read every topic from its beginning, whenever you like. It has no effect on anything.",
        publisher=None,
        reads=tuple(TOPICS),
        settings=("retry_window_s", "attempts_max", "cancel_window_s", "order_max_age_s"),
        themes=(
            Theme.FAILURE_CODES,
            Theme.RETRY_REFUSALS,
            Theme.CANCEL_REFUSALS,
            Theme.REVIEWS,
            Theme.LIVEMODE,
        ),
        advice=(
            "Count distinct `event_id`: copies of an event are byte for byte the same.",
            (
                "Sort the events of an order by (`order_version`, `ordinal`), not by time or offset: topics have no "
                "order among each other. Events of others have no version; `causation_id` says what followed from "
                "them."
            ),
            "Leave out what has `livemode` false, and the orders that it names.",
            (
                "OrderConfirmed and PaymentRetryRequested carry the gateway's token of a payment method. Do not copy "
                "it into your tables."
            ),
            "A symbol `UNSPECIFIED` means that a newer release said something that your schema does not know.",
        ),
    ),
)
"""In the order of the index."""

BY_PUBLISHER: Final = {reader.publisher: reader for reader in READERS if reader.publisher is not None}
OPERATORS: Final = "operators"
"""Who reads what no page is about: deploy/README.md is theirs."""
