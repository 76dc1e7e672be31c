"""The parts of a page about codes and reasons, each from the table that the rules themselves use."""

from collections.abc import Callable, Iterable
from typing import Final

from deploy.contract_pages.facts import Contract
from deploy.contract_pages.html import Html, details, section, table, tag, text_with_code
from deploy.contract_pages.reader import Theme
from domain.alarms import ALARMS
from domain.cancel_refusals import SENTENCES
from domain.failure_codes import AWAY, MEANINGS, FailureCode
from domain.opening import FIRST_WAITS, RETRY_REFUSALS

REVIEW: Final = "review_"
"""Before the reason of a review, in the table of alarms."""
REVIEW_REASONS: Final = {
    # The first sentence is that of every review.
    reason.removeprefix(REVIEW): alarm.meaning.partition(". ")[2]
    for reason, alarm in ALARMS.items()
    if reason.startswith(REVIEW)
}


def theme_part(theme: Theme, contract: Contract) -> Html:
    """Return the part of a page about this theme."""
    return _PARTS[theme](contract)


def _failure_codes(_: Contract) -> Html:
    rows = ((tag("code", code), "yes" if m.retryable else "no", m.reason) for code, m in MEANINGS.items())
    return section(
        "failure-codes",
        "Failure codes",
        tag(
            "p",
            text_with_code(
                "All values of `failure_code` in PaymentFailed; the list may grow. The sentence is its `reason`, "
                "safe to show. Whether another method may help is about the code: `retryable` of the event also "
                "knows the stage. It is true after a failed CAPTURE, and false after RESERVE, for the goods are not "
                "there."
            ),
        ),
        table(("Code", "Another method may help", "Sentence for the customer"), *rows),
        tag(
            "p",
            text_with_code(
                f"With `{FailureCode.AUTHENTICATION_REQUIRED}` a customer who was away (`off_session`) reads instead: "
                f"“{AWAY}”"
            ),
        ),
    )


def _retry_refusals(_: Contract) -> Html:
    return section(
        "retry-refusals",
        "When a retry is refused",
        tag(
            "p",
            text_with_code(
                "CustomerNotificationRequested of kind `RETRY_REFUSED`; its `failure_code` is one of these. Nothing "
                "was charged for the retry."
            ),
        ),
        _sentences(RETRY_REFUSALS.items()),
        tag(
            "p", text_with_code(f"`in_progress` while the customer is asked to confirm reads instead: “{FIRST_WAITS}”")
        ),
    )


def _cancel_refusals(_: Contract) -> Html:
    return section(
        "cancel-refusals",
        "When a cancel is refused",
        tag(
            "p",
            text_with_code(
                "`reason` of CancellationRefused. CustomerNotificationRequested of kind `CANCELLATION_REFUSED` has "
                "the same in lower case as `failure_code`."
            ),
        ),
        _sentences((reason.value, sentence) for reason, sentence in SENTENCES.items()),
    )


def _reviews(_: Contract) -> Html:
    return section(
        "reviews",
        "When a person has to look",
        tag(
            "p",
            text_with_code(
                "`reason` of PaymentReviewRequired. Our operators settle it; events of the order then say how it went "
                "on."
            ),
        ),
        table(("Reason", "Meaning"), *((tag("code", reason), why) for reason, why in REVIEW_REASONS.items())),
    )


def _livemode(_: Contract) -> Html:
    return section(
        "livemode",
        "livemode",
        tag(
            "p",
            text_with_code(
                "`livemode` stands in PaymentAuthorized and PaidAndConfirmed. True: real money, taken with a live "
                "key of the gateway. False: play money (a test key, or a sandbox), however real the order looks. The "
                "gateway's own word decides. Where real goods or books are at stake, act on true only; in a test "
                "environment expect false."
            ),
        ),
    )


def _amount_limits(contract: Contract) -> Html:
    rows = ((tag("code", currency), f"{limit:,}") for currency, limit in sorted(contract.amount_limits.items()))
    return section(
        "amount-limits",
        "Currencies and the largest total",
        tag(
            "p",
            "Every currency that is accepted, by its ISO 4217 code, with the largest total_minor in its own minor "
            "unit. They catch a misplaced decimal point.",
        ),
        details(
            f"{len(contract.amount_limits)} currencies", table(("Currency", "Largest total, in minor units"), *rows)
        ),
    )


def _sentences(rows: Iterable[tuple[str, str]]) -> Html:
    return table(("Code", "Sentence for the customer"), *((tag("code", code), text) for code, text in rows))


_PARTS: Final[dict[Theme, Callable[[Contract], Html]]] = {
    Theme.FAILURE_CODES: _failure_codes,
    Theme.RETRY_REFUSALS: _retry_refusals,
    Theme.CANCEL_REFUSALS: _cancel_refusals,
    Theme.REVIEWS: _reviews,
    Theme.LIVEMODE: _livemode,
    Theme.AMOUNT_LIMITS: _amount_limits,
}
