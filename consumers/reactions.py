"""All reactions, by trigger and by name: the routing table of the module."""

from consumers.customer_notification_requested import notify_customer
from consumers.items_reserved import capture_payment
from consumers.order_cancel_requested import cancel_order
from consumers.order_cancelled import return_items
from consumers.order_confirmed import authorize_payment
from consumers.payment_authorized import reserve_items
from consumers.payment_failed import release_items
from consumers.payment_retry_requested import retry_payment
from consumers.preparation_started import note_preparation_start
from consumers.refund_requested import refund_payment
from consumers.reservation_failed import return_payment
from consumers.stock_adjusted import adjust_stock
from domain.reaction import Reaction

REACTIONS: tuple[Reaction, ...] = (
    authorize_payment,
    retry_payment,
    cancel_order,
    reserve_items,
    capture_payment,
    return_payment,
    note_preparation_start,
    release_items,
    refund_payment,
    return_items,
    notify_customer,
    adjust_stock,
)
BY_TRIGGER: dict[str, Reaction] = {reaction.trigger.TYPE: reaction for reaction in REACTIONS}
BY_NAME: dict[str, Reaction] = {reaction.name: reaction for reaction in REACTIONS}
