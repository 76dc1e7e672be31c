"""The endpoints that change nothing: single objects and lists, newest first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from deploy.playbank.bank import Bank, Intent, Refund
from deploy.playbank.methods import method_of
from deploy.sandbox import known, params
from deploy.sandbox.creating import check_customer
from deploy.sandbox.errors import invalid, missing
from deploy.sandbox.params import Form
from deploy.sandbox.render import intent_json, list_json, refund_json
from deploy.sandbox.render_charge import charge_json, intent_of_charge
from deploy.sandbox.render_method import method_json
from deploy.sandbox.tokens import method_of_token, token_json

_LIMIT = 10
_LIMIT_MAX = 100
_Thing = TypeVar("_Thing")


def get_intent(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one PaymentIntent."""
    params.check_names(form, known.GET_INTENT)
    expand = params.expands(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    return intent_json(bank, _intent(bank, path["id"], "intent"), expand)


def list_intents(bank: Bank, form: Form, _path: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of PaymentIntents, newest first."""
    params.check_names(form, known.LIST_INTENTS)
    expand = expands_of_list(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    customer = params.text(form, "customer")
    check_customer(customer)
    low, high = created_within(form)
    limit, after, before = page_of(form)
    newer = _intent(bank, after, "starting_after") if after else None
    older = _intent(bank, before, "ending_before") if before else None
    found: list[Intent] = []
    for intent in bank.newest_first(newer):
        if int(intent.created) < low or intent is older or (len(found) > limit and older is None):
            break
        if int(intent.created) <= high and (customer is None or intent.asked.get("customer") == customer):
            found.append(intent)
    page, more = cut(found, limit, from_the_end=older is not None)
    return list_json("/v1/payment_intents", [intent_json(bank, intent, expand) for intent in page], has_more=more)


def get_refund(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one refund."""
    params.check_names(form, known.GET)
    expand = params.expands(form, known.EXPANDS_REFUND, known.OTHERS_OF_REFUND)
    return refund_json(bank, refund_named(bank, path["id"]), expand)


def list_refunds(bank: Bank, form: Form, _path: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of refunds, newest first."""
    params.check_names(form, known.LIST_REFUNDS)
    expand = expands_of_list(form, known.EXPANDS_REFUND, known.OTHERS_OF_REFUND)
    of, charge = params.text(form, "payment_intent"), params.text(form, "charge")
    low, high = created_within(form)
    limit, after, before = page_of(form)
    refunds = bank.all_refunds()
    if of is not None:
        refunds = bank.refunds_of(_intent(bank, of, "payment_intent"))
    elif charge is not None:
        refunds = bank.refunds_of(_charged(bank, charge))
    first = refunds.index(refund_named(bank, before, "ending_before")) + 1 if before is not None else 0
    last = refunds.index(refund_named(bank, after, "starting_after")) if after is not None else len(refunds)
    found = [refund for refund in reversed(refunds[first:last]) if low <= int(refund.created) <= high]
    page, more = cut(found, limit, from_the_end=before is not None)
    return list_json("/v1/refunds", [refund_json(bank, refund, expand) for refund in page], has_more=more)


def get_charge(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one charge."""
    params.check_names(form, known.GET)
    params.expands(form, (), known.OTHERS_OF_CHARGE)
    return charge_json(bank, _charged(bank, path["id"]))


def get_method(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one payment method: one that was made here, or a test method under its own name."""
    params.check_names(form, known.GET)
    params.expands(form, (), known.OTHERS_OF_METHOD)
    if bank.method(path["id"]) is None and method_of(path["id"]) is None:
        raise missing("PaymentMethod", path["id"], "payment_method")
    return method_json(bank, path["id"])


def get_token(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one ConfirmationToken."""
    params.check_names(form, known.GET)
    params.expands(form, ())
    return token_json(bank, method_of_token(bank, path["id"], status=404))


def _intent(bank: Bank, intent_id: str, param: str) -> Intent:
    intent = bank.intent(intent_id)
    if intent is None:
        raise missing("payment_intent", intent_id, param)
    return intent


def _charged(bank: Bank, charge_id: str) -> Intent:
    intent = bank.intent(intent_of_charge(charge_id))
    if intent is None or intent.charge != charge_id:
        raise missing("charge", charge_id, "charge")
    return intent


def refund_named(bank: Bank, refund_id: str, param: str = "refund") -> Refund:
    """Return a refund. param: the parameter that names it. Raises ApiError if there is none of that id."""
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


def page_of(form: Form) -> tuple[int, str | None, str | None]:
    """Return the limit, and the object after which and the one before which the page lies."""
    limit = page_limit(form)
    after, before = params.text(form, "starting_after"), params.text(form, "ending_before")
    if after is not None and before is not None:
        raise invalid("Give starting_after or ending_before, not both.", "ending_before")
    return limit, after, before


def cut(found: Sequence[_Thing], limit: int, *, from_the_end: bool) -> tuple[Sequence[_Thing], bool]:
    """Return the page, and whether there is more beyond it. A page before an object lies directly before it."""
    page = found[-limit:] if from_the_end else found[:limit]
    return page, len(found) > limit


def expands_of_list(form: Form, allowed: tuple[str, ...], others: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the properties of the objects of a list to expand. others: those that only Stripe expands."""
    prefixed: Callable[[str], str] = "data.{}".format
    wanted = params.expands(form, tuple(map(prefixed, allowed)), frozenset(map(prefixed, others)))
    return frozenset(name.removeprefix("data.") for name in wanted)


def created_within(form: Form) -> tuple[float, float]:
    """Return the first and the last second that a list is about."""
    low, high = 0.0, float("inf")
    if (at := params.positive(form, "created")) is not None:
        low = high = at
    if (after := params.positive(form, "created[gt]")) is not None:
        low = max(low, after + 1)
    if (at_least := params.positive(form, "created[gte]")) is not None:
        low = max(low, at_least)
    if (before := params.positive(form, "created[lt]")) is not None:
        high = min(high, before - 1)
    if (at_most := params.positive(form, "created[lte]")) is not None:
        high = min(high, at_most)
    return low, high
