"""Payment methods of banks: redirects, and debits that the bank decides on in days.

Source of the documented names: docs.stripe.com/payments/ach-direct-debit and .../sepa-debit, sections on testing, as of
2026-09. `redirect...` and `debit_days...` are ours: as iDEAL, and as a SEPA debit. Tables of names; `methods.py` gives
them their life.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deploy.playbank.cards import CardDecline, Case


@dataclass(frozen=True, slots=True)
class MethodType:
    """What Stripe says of every payment method of a type.

    currencies: the only ones, in small letters; empty: any. redirects: the customer goes away and comes back.
    needs_mandate: the customer must have agreed to the debit. cancels_processing: Stripe takes a cancel while the bank
    decides (documented for us_bank_account; "in rare cases" elsewhere). held: the money can be held before it is taken.
    """

    currencies: frozenset[str] = frozenset()
    redirects: bool = False
    needs_mandate: bool = False
    cancels_processing: bool = False
    held: bool = False


TYPES: Mapping[str, MethodType] = MappingProxyType(
    {
        "card": MethodType(held=True),
        "ideal": MethodType(frozenset({"eur"}), redirects=True),
        "sepa_debit": MethodType(frozenset({"eur"}), needs_mandate=True),
        "us_bank_account": MethodType(frozenset({"usd"}), needs_mandate=True, cancels_processing=True),
    }
)
"""The types that the play bank has."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a payment method shows of its bank account."""

    country: str = "DE"
    last4: str = "3000"


@dataclass(frozen=True, slots=True)
class Debit:
    """What a bank does with a debit: pay, decline, never answer; and dispute it once it has paid."""

    type: str = "sepa_debit"
    decline: CardDecline | None = None
    never_decided: bool = False
    disputes: tuple[Case, ...] = ()
    account: Account = Account()


# The bank's customer objects to a debit, and no answer is heard: docs.stripe.com/payments/ach-direct-debit, "Disputes".
_OBJECTION = (Case("debit_not_authorized", network_reason_code=None, final=True),)


def _declined(code: str) -> CardDecline:
    return CardDecline(code, None, f"The bank declined the payment ({code}).")


REDIRECTS = {"redirect": None, "redirect_declined": _declined("payment_method_provider_decline")}
"""What the bank says after the customer has confirmed there: None where it pays."""

_OURS = {
    "debit_days": Debit(),
    "debit_days_declined": Debit(decline=_declined("payment_method_provider_decline")),
}
_SEPA_COUNTRIES = "at be hr ee fi fr de gi ie li lt lu nl no pt es se ch gb"
_SEPA = {
    "success": Debit(),
    "successDelayed": Debit(),
    "failed": Debit(decline=_declined("payment_method_provider_decline")),
    "failedDelayed": Debit(decline=_declined("payment_method_provider_decline")),
    "disputed": Debit(disputes=_OBJECTION),
    "exceedsWeeklyVolumeLimit": Debit(decline=_declined("charge_exceeds_source_limit")),
    "exceedsWeeklyTransactionLimit": Debit(decline=_declined("charge_exceeds_weekly_limit")),
    "insufficientFunds": Debit(decline=_declined("insufficient_funds")),
}
_US = {
    "success": (None, "6789"),
    "accountClosed": ("account_closed", "1113"),
    "noAccount": ("no_account", "1116"),
    "insufficientFunds": ("insufficient_funds", "2227"),
    "debitNotAuthorized": ("debit_not_authorized", "3335"),
    "invalidCurrency": ("invalid_currency", "4440"),
    "weeklyLimitExceeded": ("charge_exceeds_weekly_limit", "7771"),
    "dispute": (None, "5559"),
    "processing": (None, "0009"),
}


def debits() -> Iterator[tuple[str, Debit]]:
    """Return every debit by its name without `pm_`. What a name's table does not say is an ordinary payment."""
    yield from _OURS.items()
    for country in _SEPA_COUNTRIES.split():
        for name, debit in _SEPA.items():
            account = Account(country.upper())
            yield f"{name}_{country}", Debit(decline=debit.decline, disputes=debit.disputes, account=account)
    for name, (code, last4) in _US.items():
        yield (
            f"usBankAccount_{name}",
            Debit(
                "us_bank_account",
                None if code is None else _declined(code),
                never_decided=name == "processing",
                disputes=_OBJECTION if name == "dispute" else (),
                account=Account("US", last4),
            ),
        )
