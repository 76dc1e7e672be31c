"""The customer, played: a page of their bank's, where they confirm a payment, or fail to (3-D Secure, bank redirects).

Ours, not Stripe's: `GET /sandbox/3ds/{id}` shows the page, `POST` with `outcome=passed` or `outcome=failed` answers it.
"""

from html import escape
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from deploy.playbank.bank import ASKS_CUSTOMER, Bank, Intent
from deploy.sandbox import params
from deploy.sandbox.creating import authenticate
from deploy.sandbox.errors import missing
from deploy.sandbox.journal import Memory, Stored

OUTCOMES: Final = ("passed", "failed")
_PAGE = """<!doctype html><title>{title}</title><h1>Do you confirm this payment?</h1><p>{text}</p>
<form method="post"><button name="outcome" value="passed">Yes</button>
<button name="outcome" value="failed">No</button></form>"""


class Customer:
    """Acts on PaymentIntents that ask their customer. memory: that of the bank."""

    def __init__(self, bank: Bank, memory: Memory) -> None:
        self._bank = bank
        self._memory = memory

    async def answer(self, request: Request) -> Response:
        """Show the page, or take the customer's answer and send them back. Raises ApiError for a wrong answer."""
        intent = self._bank.intent(request.path_params["id"])
        if intent is None or "action_url" not in intent.asked:
            raise missing("payment_intent", request.path_params["id"], "intent")
        if request.method == "GET":
            text = escape(f"{intent.id}: {intent.status}")
            return HTMLResponse(_PAGE.format(title=_title(intent), text=text))
        form = params.parse(await request.body())
        params.required(form, "outcome")
        outcome = params.one_of(form, "outcome", OUTCOMES)
        if intent.status != ASKS_CUSTOMER:
            return _back(intent)
        done = authenticate(self._bank, intent, passed=outcome == "passed")
        self._memory.remember(None, Stored("", 200, b"", self._bank.now()), done.changed)
        return _back(intent)


def _back(intent: Intent) -> Response:
    """Send the customer where the caller wants them, with what Stripe adds to the address but for the client secret."""
    status = "succeeded" if intent.status in {"succeeded", "requires_capture"} else "failed"
    said = {"payment_intent": intent.id, "redirect_status": status}
    back = intent.asked.get("return_url")
    if back is None:
        return HTMLResponse(f"<!doctype html><title>{_title(intent)}</title><p>{status}</p>")
    return RedirectResponse(f"{back}{'&' if '?' in back else '?'}{urlencode(said)}", 303)


def _title(intent: Intent) -> str:
    return "3-D Secure" if intent.method.type == "card" else "Your bank"
