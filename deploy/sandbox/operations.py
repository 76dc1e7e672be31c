"""The endpoints that change what exists. Each validates everything, executes, and returns what changed.

A validation failure is raised, and no key remembers it. The answer of an execution is always remembered.
"""

from deploy.playbank.bank import Bank, Intent, No, Refund
from deploy.playbank.intents import error_of
from deploy.playbank.methods import CAPTURE_REFUSED, method_of
from deploy.sandbox import known, params
from deploy.sandbox.creating import Done, unexpected_state
from deploy.sandbox.errors import conflict, declined, disputed, invalid, missing, not_played, not_refundable
from deploy.sandbox.params import Form
from deploy.sandbox.render import intent_json, minor, refund_json
from deploy.sandbox.render_charge import intent_of_charge
from deploy.sandbox.render_method import method_json
from deploy.sandbox.texts import DESCRIPTION_MAX, statement_texts
from deploy.sandbox.tokens import make_token, token_json


def update(bank: Bank, intent: Intent, form: Form, _key: str) -> Done:
    """Change the texts and the metadata of a PaymentIntent."""
    params.check_names(form, known.UPDATE)
    expand = params.expands(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    metadata = params.metadata(form, kept=intent.metadata)
    description = params.text(form, "description", DESCRIPTION_MAX)
    email = params.text_or_unset(form, "receipt_email")
    texts = statement_texts(form)
    intent.metadata = metadata
    intent.description = description or intent.description
    intent.terms = intent.asked | texts | ({} if email is None else {"receipt_email": email or None})
    return Done(intent_json(bank, intent, expand), {"intent": intent})


def capture(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Collect an authorized amount, all or part of it; the rest is released."""
    params.check_names(form, known.CAPTURE)
    expand = params.expands(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    amount = params.positive(form, "amount_to_capture") or intent.amount
    if "final_capture" in form and not params.boolean(form, "final_capture"):
        raise not_played("final_capture")
    metadata = params.metadata(form, kept=intent.metadata)
    texts = statement_texts(form)
    refusal = None
    match intent.capture(key, bank.now(), amount):
        case None:
            intent.metadata = metadata
            intent.terms = intent.asked | texts if texts else intent.terms
        case No.TOO_LARGE as no:
            refusal = conflict("You cannot capture more than was authorized.", no, param="amount_to_capture")
        case No.REFUSED:
            refusal = declined(error_of(CAPTURE_REFUSED, intent.charge), intent_json(bank, intent))
        case no:
            refusal = unexpected_state(bank, intent, "captured", no)
    return Done(intent_json(bank, intent, expand), {"intent": intent}, refusal)


def cancel(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Give up a PaymentIntent that is not captured."""
    params.check_names(form, known.CANCEL)
    expand = params.expands(form, known.EXPANDS_INTENT, known.OTHERS_OF_INTENT)
    reason = params.one_of(form, "cancellation_reason", known.CANCELLATION_REASONS)
    no = intent.cancel(key, bank.now(), reason)
    refusal = None if no is None else unexpected_state(bank, intent, "canceled", no)
    return Done(intent_json(bank, intent, expand), {"intent": intent}, refusal)


def refund_intent(form: Form) -> str:
    """Return the id of the PaymentIntent to refund. A charge has its PaymentIntent's number."""
    intent_id, charge_id = params.text(form, "payment_intent"), params.text(form, "charge")
    if intent_id is None and charge_id is None:
        raise invalid("Give payment_intent or charge.", "payment_intent", "parameter_missing")
    if intent_id is None:
        return intent_of_charge(str(charge_id))
    if charge_id is not None:
        raise invalid("Give payment_intent or charge, not both.", "charge")
    return intent_id


def refund(bank: Bank, intent: Intent, form: Form, key: str) -> Done:
    """Give captured money back, all that is left or part of it."""
    params.check_names(form, known.REFUND)
    asked = params.positive(form, "amount")
    reason = params.one_of(form, "reason", known.REFUND_REASONS)
    metadata = params.metadata(form)
    expand = params.expands(form, known.EXPANDS_REFUND, known.OTHERS_OF_REFUND)
    left = bank.left_of(intent)
    amount = asked or left
    match bank.refund(intent, key, amount, metadata=metadata, reason=reason):
        case Refund() as made:
            return Done(refund_json(bank, made, expand), {"intent": intent, "refund": made})
        case No.REFUNDED as no:
            refusal = conflict("The charge has already been refunded.", no)
        case No.DISPUTED:
            refusal = disputed(intent.charge)
        case No.TOO_LARGE:
            message = f"Refund amount ({_said(intent, amount)}) is greater than what is left ({_said(intent, left)})."
            refusal = not_refundable(message, "amount")
        case _:
            refusal = not_refundable(f"This PaymentIntent ({intent.id}) has no successful charge to refund.")
    return Done({}, {"intent": intent}, refusal)


def update_refund(bank: Bank, made: Refund, form: Form, _key: str) -> Done:
    """Change the metadata of a refund."""
    params.check_names(form, known.METADATA_ONLY)
    expand = params.expands(form, known.EXPANDS_REFUND, known.OTHERS_OF_REFUND)
    made.metadata = params.metadata(form, kept=made.metadata)
    return Done(refund_json(bank, made, expand), {"refund": made})


def create_method(bank: Bank, form: Form, _key: str) -> Done:
    """Make a payment method from a test token of Stripe's: `tok_visa` makes one that behaves as `pm_card_visa`."""
    params.check_names(form, known.CREATE_METHOD)
    params.required(form, "type")
    params.one_of(form, "type", ("card",), known.NOT_MADE)
    token = params.required(form, "card[token]")
    metadata = params.metadata(form, may_unset=False)
    params.expands(form, (), known.OTHERS_OF_METHOD)
    behaves_as = f"pm_card_{token.removeprefix('tok_')}"
    if not token.startswith("tok_") or method_of(behaves_as) is None:
        raise missing("token", token, "card[token]", status=400)
    method = bank.make_method(behaves_as, metadata)
    return Done(method_json(bank, method.id), {"method": method})


def create_token(bank: Bank, form: Form, _key: str) -> Done:
    """Make a ConfirmationToken from a test payment method, as Stripe's test mode does."""
    method_id = make_token(bank, form)
    method = bank.method(method_id)
    assert method is not None, "it was made just now"
    return Done(token_json(bank, method_id), {"method": method})


def _said(intent: Intent, amount: int) -> str:
    currency = intent.currency.upper()
    return f"{minor(amount, currency)} minor units of {currency}"
