"""/v1/disputes and /v1/radar/early_fraud_warnings: read, answered with evidence, closed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from deploy.playbank.bank import Bank, Dispute, Intent
from deploy.sandbox import known, params
from deploy.sandbox.creating import Done
from deploy.sandbox.errors import ApiError, missing, refused
from deploy.sandbox.params import Form
from deploy.sandbox.reading import created_within, cut, expands_of_list, page_of
from deploy.sandbox.render import list_json
from deploy.sandbox.render_charge import intent_of_charge
from deploy.sandbox.render_dispute import TEXTS, dispute_json, warning_id, warning_json

_Thing = TypeVar("_Thing", Dispute, Intent)


def get_dispute(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one dispute."""
    params.check_names(form, known.GET)
    expand = params.expands(form, known.EXPANDS_DISPUTE)
    return dispute_json(bank, dispute_named(bank, path["id"]), expand)


def list_disputes(bank: Bank, form: Form, _path: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of disputes, newest first."""
    params.check_names(form, known.LIST_DISPUTES)
    expand = expands_of_list(form, known.EXPANDS_DISPUTE)
    found = _about(bank, form, bank.all_disputes(), lambda dispute: dispute.intent)
    page, more = _page(form, found, "dispute", lambda dispute: dispute.id, lambda dispute: dispute.created)
    return list_json("/v1/disputes", [dispute_json(bank, dispute, expand) for dispute in page], has_more=more)


def get_warning(bank: Bank, form: Form, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return one early fraud warning."""
    params.check_names(form, known.GET)
    expand = params.expands(form, known.EXPANDS_DISPUTE)
    for intent in _warned(bank):
        if warning_id(intent) == path["id"]:
            return warning_json(bank, intent, expand)
    raise missing("early_fraud_warning", path["id"], "early_fraud_warning")


def list_warnings(bank: Bank, form: Form, _path: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of early fraud warnings, newest first."""
    params.check_names(form, known.LIST_DISPUTES)
    expand = expands_of_list(form, known.EXPANDS_DISPUTE)
    found = _about(bank, form, _warned(bank), lambda intent: intent.id)
    page, more = _page(form, found, "early_fraud_warning", warning_id, _warned_at)
    rendered = [warning_json(bank, intent, expand) for intent in page]
    return list_json("/v1/radar/early_fraud_warnings", rendered, has_more=more)


def update(bank: Bank, dispute: Dispute, form: Form, _key: str) -> Done:
    """Keep evidence and metadata. Evidence is handed in at once, unless the form says submit=false."""
    params.check_names(form, known.UPDATE_DISPUTE)
    expand = params.expands(form, known.EXPANDS_DISPUTE)
    metadata = params.metadata(form, kept=dispute.metadata)
    evidence = {
        name: params.text_or_unset(form, f"evidence[{name}]", length) or ""
        for name, length in TEXTS.items()
        if f"evidence[{name}]" in form
    }
    submit = params.boolean(form, "submit") if "submit" in form else bool(evidence)
    if (evidence or submit) and dispute.is_closed:
        return Done({}, {}, _closed())
    dispute.metadata = metadata
    if evidence or submit:
        intent = bank.intent(dispute.intent)
        assert intent is not None, "a dispute has an intent"
        dispute.answer(evidence, bank.now(), bank.left_of(intent), submit=submit)
    return Done(dispute_json(bank, dispute, expand), {"dispute": dispute})


def close(bank: Bank, dispute: Dispute, form: Form, _key: str) -> Done:
    """Give in."""
    params.check_names(form, known.EXPAND_ONLY)
    expand = params.expands(form, known.EXPANDS_DISPUTE)
    if dispute.is_closed:
        return Done({}, {}, _closed())
    dispute.close()
    return Done(dispute_json(bank, dispute, expand), {"dispute": dispute})


def dispute_named(bank: Bank, dispute_id: str) -> Dispute:
    """Return a dispute. Raises ApiError if there is none of that id."""
    for dispute in bank.all_disputes():
        if dispute.id == dispute_id:
            return dispute
    raise missing("dispute", dispute_id, "dispute")


def _closed() -> ApiError:
    return refused("This dispute is already closed")


def _warned(bank: Bank) -> list[Intent]:
    """Return the payments that issuers warned of, the first warning first."""
    found = (intent for intent in bank.newest_first() if intent.method.fraud_warning and intent.captured_at is not None)
    return sorted(found, key=_warned_at)


def _warned_at(intent: Intent) -> float:
    return intent.captured_at or 0.0


def _about(bank: Bank, form: Form, things: Sequence[_Thing], intent_of: Callable[[_Thing], str]) -> Sequence[_Thing]:
    """Return the things about the PaymentIntent or the charge that the form names, or all."""
    intent_id, charge = params.text(form, "payment_intent"), params.text(form, "charge")
    if charge is not None:
        intent = bank.intent(intent_of_charge(charge))
        if intent is None or intent.charge != charge:
            raise missing("charge", charge, "charge", status=400)
        things = [thing for thing in things if intent_of(thing) == intent.id]
    if intent_id is not None:
        if bank.intent(intent_id) is None:
            raise missing("payment_intent", intent_id, "payment_intent", status=400)
        things = [thing for thing in things if intent_of(thing) == intent_id]
    return things


def _page(
    form: Form,
    things: Sequence[_Thing],
    kind: str,
    id_of: Callable[[_Thing], str],
    created: Callable[[_Thing], float],
) -> tuple[Sequence[_Thing], bool]:
    """Return a page, newest first, and whether there is more. things: the oldest first."""
    low, high = created_within(form)
    limit, after, before = page_of(form)
    ids = [id_of(thing) for thing in things]
    for name, edge in (("starting_after", after), ("ending_before", before)):
        if edge is not None and edge not in ids:
            raise missing(kind, edge, name, status=400)
    first = 0 if before is None else ids.index(before) + 1
    last = len(ids) if after is None else ids.index(after)
    found = [thing for thing in reversed(things[first:last]) if low <= int(created(thing)) <= high]
    return cut(found, limit, from_the_end=before is not None)
