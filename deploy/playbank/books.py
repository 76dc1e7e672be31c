"""What the bank's books have: its ledger, all of one transaction, and refunds that failed."""

from deploy.playbank.bank import CANCELED, HELD, Bank, Intent
from deploy.playbank.readings import moment
from domain.ids import OrderId
from domain.news import RefundFailure, RefundWord, SeenRefund, TransactionNews
from domain.ports.gateway import Effect, LedgerEntry

_WORDS: dict[str, RefundWord] = {"succeeded": "succeeded", "failed": "failed"}


def entries(bank: Bank) -> list[LedgerEntry]:
    """Return every transaction, the oldest first."""
    return [_entry(bank, intent) for intent in bank.newest_first()][::-1]


def _entry(bank: Bank, intent: Intent) -> LedgerEntry:
    return LedgerEntry(
        intent.id,
        OrderId(intent.metadata["order_id"]),
        str(intent.metadata["operation_id"]),
        intent.status,
        intent.currency,
        intent.amount,
        intent.amount_received,
        bank.refunded(intent, with_pending=False),
        tuple(Effect(e["kind"], e["key"], moment(e["at"]), e["amount"]) for e in intent.effects),
    )


def failed_refunds(bank: Bank, since_s: float) -> list[RefundFailure]:
    """Return refunds of ours that were made since then and have failed."""
    return [
        RefundFailure(
            order_id=str(intent.metadata["order_id"]),
            operation_id=str(refund.metadata["operation_id"]),
            refund_id=refund.id,
            amount_minor=refund.amount,
            reason="lost_or_stolen_card",
        )
        for refund in bank.all_refunds()
        if refund.status == "failed" and refund.created >= since_s and "operation_id" in refund.metadata
        if (intent := bank.intent(refund.intent)) is not None
    ]


def news_of(bank: Bank, transaction_id: str) -> TransactionNews | None:
    """Return all that the books have of a transaction."""
    intent = bank.intent(transaction_id)
    if intent is None:
        return None
    refunds = [
        SeenRefund(
            refund_id=refund.id,
            operation_id=None if "operation_id" not in refund.metadata else str(refund.metadata["operation_id"]),
            state=_WORDS.get(refund.status, "pending"),
            amount_minor=refund.amount,
            currency=intent.currency,
            reason="lost_or_stolen_card",
        )
        for refund in bank.refunds_of(intent)
    ]
    return TransactionNews(
        transaction_id=intent.id,
        order_id=str(intent.metadata["order_id"]),
        operation_id=str(intent.metadata["operation_id"]),
        currency=intent.currency,
        held_minor=intent.amount if intent.status == HELD else 0,
        captured_minor=intent.amount_received,
        cancelled=intent.status == CANCELED,
        refunds=tuple(refunds),
    )
