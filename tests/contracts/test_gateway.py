"""What every gateway promises: one suite over the simulated one and the Stripe adapter before a real sandbox."""

from datetime import timedelta

import pytest

from domain.failure_codes import FailureCode, may_retry
from domain.operation import OperationKind
from domain.outcome import (
    AlreadyCaptured,
    Approved,
    Declined,
    Lapsed,
    NotFound,
    Pending,
    ReturnedElsewhere,
    TransactionMissing,
    Unknown,
)
from domain.values import replace
from tests.contracts.gateway_worlds import World, collect, same

AUTHORIZE, CAPTURE, VOID, REFUND = (
    OperationKind.AUTHORIZE,
    OperationKind.CAPTURE,
    OperationKind.VOID,
    OperationKind.REFUND,
)

DECLINES = [
    ("pm_card_chargeDeclined", FailureCode.CARD_DECLINED, True),
    ("pm_card_visa_chargeDeclined", FailureCode.CARD_DECLINED, True),
    ("pm_card_chargeDeclinedInsufficientFunds", FailureCode.INSUFFICIENT_FUNDS, True),
    ("pm_card_chargeDeclinedExpiredCard", FailureCode.CARD_EXPIRED, True),
    ("pm_card_chargeDeclinedIncorrectCvc", FailureCode.INCORRECT_DETAILS, True),
    ("pm_card_chargeDeclinedProcessingError", FailureCode.PROCESSING_ERROR, True),
    ("pm_card_chargeDeclinedVelocityLimitExceeded", FailureCode.LIMIT_EXCEEDED, True),
    ("pm_card_chargeDeclinedLostCard", FailureCode.CARD_BLOCKED, True),
    ("pm_card_chargeDeclinedStolenCard", FailureCode.CARD_BLOCKED, True),
    ("pm_card_chargeDeclinedFraudulent", FailureCode.FRAUD_SUSPECTED, True),
    ("pm_card_radarBlock", FailureCode.FRAUD_SUSPECTED, True),
    ("pm_card_authenticationRequired", FailureCode.AUTHENTICATION_REQUIRED, True),
]


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_card_mastercard", "pm_card_amex"])
async def test_a_good_card_is_authorized_and_nothing_is_captured(world: World, token: str) -> None:
    call = world.authorize(token)

    outcome = await world.perform(call)

    assert isinstance(outcome, Approved)
    assert outcome.expires_at is not None
    assert timedelta(days=6) < outcome.expires_at - call.opened_at <= timedelta(days=7, minutes=1)
    assert same(outcome) == Approved("", amount_minor=1250)
    assert await world.effects(call.order_id) == [("authorize", 1250)]


async def test_a_wallet_is_captured_at_once(world: World) -> None:
    call = world.authorize("pm_wallet_captured")

    outcome = await world.perform(call)

    assert same(outcome) == Approved("", amount_minor=1250, captured=True)
    assert await world.effects(call.order_id) == [("authorize", 1250), ("capture", 1250)]
    assert await world.look_up(call) == outcome


async def test_the_books_name_the_order_and_the_authorize_operation(world: World) -> None:
    call = world.authorize()
    transaction_id = await world.approved(call)

    entry = await world.entry(call.order_id)

    assert entry is not None
    assert (entry.transaction_id, entry.operation_id) == (transaction_id, str(call.operation_id))
    assert (entry.status, entry.currency, entry.amount_minor) == ("requires_capture", "EUR", 1250)
    assert [effect.key for effect in entry.effects] == [call.idempotency_key]


@pytest.mark.parametrize(("token", "code", "retryable"), DECLINES)
async def test_a_decline_is_a_value_with_our_code(world: World, token: str, code: FailureCode, retryable: bool) -> None:  # noqa: FBT001 - a parameter
    call = world.authorize(token)

    outcome = await world.perform(call)

    assert isinstance(outcome, Declined)
    assert (outcome.code, may_retry(outcome.code)) == (code, retryable)
    assert outcome.transaction_id is not None
    assert outcome.gateway_code is not None
    assert await world.perform(call) == outcome
    assert await world.look_up(call) == outcome
    assert await world.effects(call.order_id) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "pm_nobody_knows"}, FailureCode.METHOD_INVALID),
        ({"currency": "XTS"}, FailureCode.CURRENCY_NOT_OFFERED),
        ({"currency": "ANG"}, FailureCode.CURRENCY_NOT_OFFERED),
        ({"currency": "KWD", "amount_minor": 1251}, FailureCode.AMOUNT_REFUSED),
        ({"currency": "MGA", "amount_minor": 1250}, FailureCode.AMOUNT_REFUSED),
        ({"amount_minor": 0}, FailureCode.AMOUNT_TOO_SMALL),
        ({"amount_minor": 49}, FailureCode.AMOUNT_TOO_SMALL),
        ({"currency": "HUF", "amount_minor": 174_99}, FailureCode.AMOUNT_TOO_SMALL),
        ({"amount_minor": 100_000_000}, FailureCode.AMOUNT_REFUSED),
    ],
)
async def test_what_the_gateway_cannot_take_is_declined(
    world: World, changes: dict[str, object], code: FailureCode
) -> None:
    call = replace(world.authorize(), **changes)

    outcome = await world.perform(call)

    assert isinstance(outcome, Declined)
    assert outcome.code is code
    assert await world.entry(call.order_id) is None
    assert await world.look_up(call) == NotFound()


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 500), ("KWD", 5120), ("ISK", 500), ("UGX", 7), ("MGA", 500)])
async def test_amounts_go_through_in_iso_minor_units(world: World, currency: str, amount: int) -> None:
    call = world.authorize(amount_minor=amount, currency=currency)
    transaction_id = await world.approved(call)

    outcome = await world.perform(world.follow_up(call, CAPTURE, transaction_id))

    assert same(outcome) == Approved("", amount_minor=amount, captured=True)
    entry = await world.entry(call.order_id)
    assert entry is not None
    assert (entry.currency, entry.amount_minor, entry.captured_minor) == (currency, amount, amount)


async def test_a_key_sent_again_has_one_effect_and_the_same_answer(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)
    capture = world.follow_up(first, CAPTURE, transaction_id)
    refund = world.follow_up(first, REFUND, transaction_id)

    for call in (first, capture, refund):
        assert await world.perform(call) == await world.perform(call)

    assert await world.effects(first.order_id) == [("authorize", 1250), ("capture", 1250), ("refund", 1250)]


async def test_the_same_void_twice_has_one_effect(world: World) -> None:
    first = world.authorize()
    void = world.follow_up(first, VOID, await world.approved(first))

    assert await world.perform(void) == await world.perform(void)

    assert await world.effects(first.order_id) == [("authorize", 1250), ("cancel", 1250)]


async def test_other_parameters_under_a_used_key_are_never_executed_and_never_a_decline(world: World) -> None:
    call = world.authorize()
    await world.approved(call)

    outcome = await world.perform(replace(call, amount_minor=1251))

    assert isinstance(outcome, Unknown)
    assert outcome.replayed
    assert await world.effects(call.order_id) == [("authorize", 1250)]


async def test_part_of_an_authorization_can_be_captured_and_refunded_in_parts(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)

    captured = await world.perform(world.follow_up(first, CAPTURE, transaction_id, 1000))
    one = await world.perform(world.follow_up(first, REFUND, transaction_id, 400, 1))
    two = await world.perform(world.follow_up(first, REFUND, transaction_id, 600, 2))
    one_too_many = await world.perform(world.follow_up(first, REFUND, transaction_id, 1, 3))

    assert same(captured) == Approved("", amount_minor=1000, captured=True)
    assert [same(one), same(two)] == [Approved("", amount_minor=400), Approved("", amount_minor=600)]
    assert one_too_many == ReturnedElsewhere(1000, getattr(two, "reference", ""))
    entry = await world.entry(first.order_id)
    assert entry is not None
    assert (entry.captured_minor, entry.refunded_minor) == (1000, 1000)


async def test_a_refund_one_unit_over_is_refused(world: World) -> None:
    first = world.authorize("pm_wallet_captured")
    transaction_id = await world.approved(first)

    outcome = await world.perform(world.follow_up(first, REFUND, transaction_id, 1251))

    assert outcome == Declined(FailureCode.GATEWAY_REFUSED, "amount")


async def test_voiding_what_is_captured_says_so(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)
    await world.perform(world.follow_up(first, CAPTURE, transaction_id, 1000))
    void = world.follow_up(first, VOID, transaction_id)

    assert await world.perform(void) == AlreadyCaptured(transaction_id, 1000)
    assert await world.look_up(void) == AlreadyCaptured(transaction_id, 1000)


async def test_a_void_can_find_the_money_captured_meanwhile(world: World) -> None:
    first = world.authorize("pm_fault_void_refused_captured")
    transaction_id = await world.approved(first)

    assert await world.perform(world.follow_up(first, VOID, transaction_id)) == AlreadyCaptured(transaction_id, 1250)
    refund = await world.perform(world.follow_up(first, REFUND, transaction_id))

    assert same(refund) == Approved("", amount_minor=1250)
    assert await world.effects(first.order_id) == [("authorize", 1250), ("capture", 1250), ("refund", 1250)]


async def test_voiding_what_is_voided_is_done(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)
    await world.approved(world.follow_up(first, VOID, transaction_id))

    again = await world.perform(world.follow_up(first, VOID, transaction_id, n=2))

    assert same(again) == Approved("", amount_minor=1250)
    assert await world.effects(first.order_id) == [("authorize", 1250), ("cancel", 1250)]


async def test_capturing_what_is_voided_has_lapsed(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)
    await world.approved(world.follow_up(first, VOID, transaction_id))
    capture = world.follow_up(first, CAPTURE, transaction_id)

    assert await world.perform(capture) == Lapsed()
    assert await world.look_up(capture) == Lapsed()
    assert await world.look_up(first) == Lapsed(transaction_id)


async def test_capturing_what_is_captured_is_done_with_the_amount_that_was_captured(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)
    await world.approved(world.follow_up(first, CAPTURE, transaction_id))

    again = await world.perform(world.follow_up(first, CAPTURE, transaction_id, n=2))
    other = await world.perform(world.follow_up(first, CAPTURE, transaction_id, 1000, n=3))

    assert same(again) == Approved("", amount_minor=1250, captured=True)
    assert same(other) == same(again)
    assert await world.effects(first.order_id) == [("authorize", 1250), ("capture", 1250)]


async def test_a_capture_that_the_issuer_refuses_leaves_the_money_held(world: World) -> None:
    first = world.authorize("pm_fault_capture_refused")
    transaction_id = await world.approved(first)
    capture = world.follow_up(first, CAPTURE, transaction_id)

    assert await world.perform(capture) == Declined(FailureCode.CAPTURE_REFUSED, "generic_decline")
    assert await world.look_up(capture) == NotFound()
    assert same(await world.perform(world.follow_up(first, VOID, transaction_id))) == Approved("", amount_minor=1250)


async def test_more_than_authorized_is_not_captured(world: World) -> None:
    first = world.authorize()
    capture = world.follow_up(first, CAPTURE, await world.approved(first), 1251)

    assert await world.perform(capture) == Declined(FailureCode.CAPTURE_REFUSED, "amount_too_large")


@pytest.mark.parametrize("kind", [CAPTURE, VOID, REFUND])
async def test_a_transaction_that_does_not_exist_is_missing_and_not_refused(world: World, kind: OperationKind) -> None:
    await world.approved(world.authorize())
    call = world.call(kind, transaction_id="pi_nowhere")

    assert await world.perform(call) == TransactionMissing()
    assert await world.look_up(call) == TransactionMissing()


async def test_refunding_what_is_only_held_is_refused(world: World) -> None:
    first = world.authorize()
    refund = world.follow_up(first, REFUND, await world.approved(first))

    assert await world.perform(refund) == Declined(FailureCode.GATEWAY_REFUSED)
    assert await world.effects(first.order_id) == [("authorize", 1250)]


async def test_a_look_up_of_what_was_never_sent_finds_nothing_and_changes_nothing(world: World) -> None:
    first = world.authorize()
    transaction_id = await world.approved(first)
    never = [world.authorize(), *(world.follow_up(first, kind, transaction_id) for kind in (CAPTURE, VOID, REFUND))]

    answers = await collect(world.gateway.look_up(never))

    assert {answer.operation_id: answer.outcome for answer in answers} == dict.fromkeys(
        [call.operation_id for call in never], NotFound()
    )
    assert await world.effects(first.order_id) == [("authorize", 1250)]


async def test_a_pending_refund_succeeds_in_its_time(world: World) -> None:
    first = world.authorize("pm_fault_refund_pending")
    transaction_id = await world.approved(first)
    refund = world.follow_up(first, REFUND, transaction_id)

    pending = await world.perform(refund)

    assert isinstance(pending, Pending)
    assert pending.reference is not None
    expected = Approved(transaction_id, pending.reference, 1250)
    assert await world.look_up_until(replace(refund, reference=pending.reference), Approved) == expected
    assert await world.look_up(refund) == expected
    assert await world.effects(first.order_id) == [("authorize", 1250), ("capture", 1250), ("refund", 1250)]


async def test_a_refund_can_fail_after_it_had_succeeded(world: World) -> None:
    first = world.authorize("pm_card_refundFail")
    transaction_id = await world.approved(first)
    await world.approved(world.follow_up(first, CAPTURE, transaction_id))
    refund = world.follow_up(first, REFUND, transaction_id)
    assert same(await world.perform(refund)) == Approved("", amount_minor=1250)

    outcome = await world.look_up_until(refund, Declined)

    assert same(outcome) == Declined(FailureCode.GATEWAY_REFUSED, "refund_failed: unknown", "")
    entry = await world.entry(first.order_id)
    assert entry is not None
    assert entry.refunded_minor == 0
