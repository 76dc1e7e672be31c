"""What the gateway says unasked. No topic brings it: the sweep asks the gateway when it tells something, and daily.

A dispute is told to others, and the order keeps its status. A refund of ours that fails after it had succeeded comes to
a person. A refund that somebody else made is booked. Money that somebody approved or captured, and that no order needs,
goes back. Safe when it is said again, late or out of order: what the gateway has now is compared with the books.
"""

from domain.disputes import (
    answered_late,
    has_ended,
    is_told,
    note_dispute,
    note_unknown_status,
    of_unknown_status,
    tell_dispute,
    tell_end,
    warn_of_fraud,
)
from domain.elsewhere import (
    book_cancelled,
    book_foreign_refund,
    failed_as_ruled,
    failed_unbooked,
    give_back_unwanted,
    has_failed,
    is_booked,
    is_in_books,
    is_of_unheard,
    is_pending,
    is_unexplained,
    may_be_owed,
    not_in_agreement,
    take_back_foreign_refund,
    take_back_ruled,
    was_cancelled,
    was_said_before,
)
from domain.hearing import (
    ForeignRefund,
    FraudWarning,
    Told,
    always,
    do_nothing,
    of_no_attempt,
    under_way,
    wait,
)
from domain.news import Dispute, RefundFailure, TransactionNews
from domain.told import book_failure, refund_must_wait, waits_for_sums
from schemas.events import (
    CancellationRefused,
    CustomerNotificationRequested,
    OrderCancelled,
    PaymentDisputeClosed,
    PaymentDisputed,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentReviewRequired,
    PaymentVoided,
    RefundRefused,
)

ROWS = (
    Told(Dispute, of_no_attempt, wait),
    Told(Dispute, answered_late, do_nothing),
    Told(Dispute, of_unknown_status, note_unknown_status),
    Told(Dispute, is_told, note_dispute),
    Told(Dispute, has_ended, tell_end),
    Told(Dispute, always, tell_dispute),
    Told(FraudWarning, always, warn_of_fraud),
    Told(RefundFailure, refund_must_wait, wait),
    Told(RefundFailure, waits_for_sums, wait),
    Told(RefundFailure, always, book_failure),
    Told(TransactionNews, is_in_books, do_nothing),
    Told(TransactionNews, of_no_attempt, wait),
    Told(TransactionNews, under_way, wait),
    Told(TransactionNews, is_unexplained, wait),
    Told(TransactionNews, was_cancelled, book_cancelled),
    Told(TransactionNews, always, give_back_unwanted),
    Told(ForeignRefund, of_no_attempt, do_nothing),
    Told(ForeignRefund, is_pending, do_nothing),
    Told(ForeignRefund, was_said_before, wait),
    Told(ForeignRefund, is_of_unheard, wait),
    Told(ForeignRefund, failed_unbooked, do_nothing),
    Told(ForeignRefund, is_booked, do_nothing),
    Told(ForeignRefund, may_be_owed, wait),
    Told(ForeignRefund, not_in_agreement, wait),
    Told(ForeignRefund, failed_as_ruled, take_back_ruled),
    Told(ForeignRefund, has_failed, take_back_foreign_refund),
    Told(ForeignRefund, always, book_foreign_refund),
)
"""The first row that fits is taken. What waits is heard again: the notice stays `kept`, and after a day that rings."""
EMITS = (
    PaymentDisputed,
    PaymentDisputeClosed,
    PaymentVoided,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentReviewRequired,
    RefundRefused,
    OrderCancelled,
    CancellationRefused,
    CustomerNotificationRequested,
)
