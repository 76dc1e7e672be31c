"""The endpoints that change nothing: single objects and lists, newest first."""

from collections.abc import Mapping
from typing import Any

from deploy.playbank.bank import Bank, Intent, Refund
from deploy.sandbox import params
from deploy.sandbox.errors import invalid, missing
from deploy.sandbox.params import Form
from deploy.sandbox.render import intent_json, list_json, refund_json

_LIMIT = 10
_LIMIT_MAX = 100
_LIST = frozenset(["limit", "starting_after", "created[gt]", "created[gte]", "created[lt]", "created[lte]"])


def get_intent(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one PaymentIntent."""
    params.check_names(form, frozenset(["expand[]"]))
    return intent_json(bank, _intent(bank, path["id"], "intent"), params.expands(form, ("latest_charge",)))


def list_intents(bank: Bank, form: Form, _path: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of PaymentIntents, newest first."""
    params.check_names(form, _LIST | {"expand[]"})
    expand = frozenset(name[5:] for name in params.expands(form, ("data.latest_charge",)))
    limit = page_limit(form)
    after = params.text(form, "starting_after")
    page: list[dict[str, Any]] = []
    low, high = created_within(form)
    for intent in bank.newest_first(_intent(bank, after, "starting_after") if after else None):
        created = int(intent.created)
        if created < low:
            break
        if created > high:
            continue
        if len(page) == limit:
            return list_json("/v1/payment_intents", page, has_more=True)
        page.append(intent_json(bank, intent, expand))
    return list_json("/v1/payment_intents", page, has_more=False)


def get_refund(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one refund."""
    params.check_names(form, frozenset())
    return refund_json(bank, _refund(bank, path["id"], "refund"))


def list_refunds(bank: Bank, form: Form, _path: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of refunds, newest first."""
    params.check_names(form, _LIST | {"payment_intent"})
    limit = page_limit(form)
    of = params.text(form, "payment_intent")
    low, high = created_within(form)
    refunds = bank.refunds_of(_intent(bank, of, "payment_intent")) if of is not None else bank.all_refunds()
    after = params.text(form, "starting_after")
    last = refunds.index(_refund(bank, after, "starting_after")) if after is not None else len(refunds)
    found = [r for r in reversed(refunds[:last]) if low <= int(r.created) <= high]
    page = [refund_json(bank, refund) for refund in found[:limit]]
    return list_json("/v1/refunds", page, has_more=len(found) > limit)


def _intent(bank: Bank, intent_id: str, param: str) -> Intent:
    intent = bank.intent(intent_id)
    if intent is None:
        raise missing("payment_intent", intent_id, param)
    return intent


def _refund(bank: Bank, refund_id: str, param: str) -> Refund:
    refund = bank.refund_made(refund_id)
    if refund is None:
        raise missing("refund", refund_id, param)
    return refund


def page_limit(form: Form) -> int:
    """Return the size of a page, 10 if none is given."""
    limit = params.positive(form, "limit") or _LIMIT
    if limit > _LIMIT_MAX:
        raise invalid(f"limit is {_LIMIT_MAX} at the most.", "limit", "parameter_invalid_integer")
    return limit


def created_within(form: Form) -> tuple[float, float]:
    """Return the first and the last second that a list is about."""
    low, high = 0.0, float("inf")
    if (after := params.positive(form, "created[gt]")) is not None:
        low = after + 1
    if (at_least := params.positive(form, "created[gte]")) is not None:
        low = max(low, at_least)
    if (before := params.positive(form, "created[lt]")) is not None:
        high = before - 1
    if (at_most := params.positive(form, "created[lte]")) is not None:
        high = min(high, at_most)
    return low, high
