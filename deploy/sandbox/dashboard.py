"""The gateway's dashboard, played: somebody of the shop acts there, and not through us.

Ours, not Stripe's: `POST /sandbox/dashboard` with JSON `{"payment_intent", "action": "refund" | "capture" | "cancel",
"amount"}`; amount in Stripe's units, all that there is without it.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from deploy.playbank.bank import Bank, Intent, No, Refund
from deploy.sandbox.creating import Changed, Done, unexpected_state
from deploy.sandbox.errors import disputed, invalid, missing, not_refundable
from deploy.sandbox.render import intent_json, refund_json

KEY: Final = "elsewhere"
"""Under this key the ledger has what was done there. No request of ours has it."""
ACTIONS: Final = ("refund", "capture", "cancel")


def act(bank: Bank, body: bytes) -> Done:
    """Do what the JSON says. Raises ApiError if it says something else."""
    wanted = _wanted(body)
    intent = bank.intent(str(wanted["payment_intent"]))
    if intent is None:
        raise missing("payment_intent", str(wanted["payment_intent"]), "payment_intent")
    amount = wanted.get("amount")
    match wanted["action"]:
        case "refund":
            return _refund(bank, intent, bank.left_of(intent) if amount is None else amount)
        case "capture":
            no = intent.capture(KEY, bank.now(), amount or intent.amount)
        case _:
            no = intent.cancel(KEY, bank.now())
    changed: Changed = {"intent": intent}
    refusal = None if no is None else unexpected_state(bank, intent, f"changed ({wanted['action']})", no)
    return Done(intent_json(bank, intent), changed, refusal)


def _refund(bank: Bank, intent: Intent, amount: int) -> Done:
    match bank.refund(intent, KEY, amount, metadata={}):
        case Refund() as made:
            return Done(refund_json(bank, made), {"intent": intent, "refund": made})
        case No.DISPUTED:
            return Done({}, {}, disputed(intent.charge))
        case no:
            return Done({}, {}, not_refundable(f"This payment cannot be refunded there: {no}.", "amount"))


def _wanted(body: bytes) -> Mapping[str, Any]:
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise invalid("Send a JSON object with payment_intent, action and amount.") from broken
    if not isinstance(wanted, dict) or not {"payment_intent", "action"} <= wanted.keys() <= _NAMES:
        raise invalid("Give payment_intent and action, and amount if it is not all.")
    amount = wanted.get("amount")
    whole = amount is None or (isinstance(amount, int) and not isinstance(amount, bool) and amount > 0)
    if wanted["action"] not in ACTIONS or not whole or (amount is not None and wanted["action"] == "cancel"):
        raise invalid(f"action is one of {', '.join(ACTIONS)}; amount is a whole number above 0, not for a cancel.")
    return wanted


_NAMES: Final = frozenset({"payment_intent", "action", "amount"})
