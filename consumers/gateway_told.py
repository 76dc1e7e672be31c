"""What the gateway says unasked, of something that was settled before. The sweep asks for it; no topic brings it.

A refund that had succeeded fails: the money is ours again. Emits PaymentRefundFailed and PaymentReviewRequired, for a
person decides how it reaches the customer. Safe when it is said again: the refund is booked as failed once.
"""

from domain.told import must_wait, take_back_refund
from schemas.events import PaymentRefundFailed, PaymentReviewRequired

refund_failed = take_back_refund
waits = must_wait
EMITS = (PaymentRefundFailed, PaymentReviewRequired)
