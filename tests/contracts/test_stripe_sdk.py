"""What goes over the wire is what the SDK would send, and what it makes of a refusal."""

from collections.abc import Mapping
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from consumers.adapters.gateway.stripe_forms import authorize_form, capture_form, refund_form
from consumers.adapters.gateway.stripe_requests import StripeRequests
from consumers.adapters.gateway.stripe_sdk import StripeSdk, encode
from domain.operation import Frozen
from domain.operation import OperationKind as K
from domain.values import replace
from tests.contracts.gateway_worlds import simulated_world
from tests.contracts.own_stripe import own_stripe, said

KEY = "sk_test_sdk"


class Recorder(stripe.HTTPClient):
    """The SDK's network: keeps what the SDK would send."""

    name = "aiohttp"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Any, ...]] = []

    def request(self, *request: Any, **_: Any) -> Any:
        self.sent.append(request)
        return b"{}", 200, {}

    def close(self) -> None:
        """Close nothing."""


def sent_by_the_sdk(method: str, path: str, params: dict[str, Any]) -> tuple[str, str, dict[str, str], str | None]:
    network = Recorder()
    StripeSdk(KEY)  # telemetry is off from now on
    client = stripe.StripeClient(KEY, http_client=network, max_network_retries=0)
    client.raw_request(method, path, **params)
    [(verb, url, headers, form)] = network.sent
    return verb, url.removeprefix("https://api.stripe.com"), dict(headers), form


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.text("abcdefgh_", min_size=1).filter(lambda name: name != "base")
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS)
LISTS = st.lists(st.one_of(TEXTS, st.dictionaries(NAMES, VALUES, max_size=2)), max_size=3)
PARAMS = st.dictionaries(
    NAMES,
    st.recursive(st.one_of(VALUES, LISTS), lambda inner: st.dictionaries(NAMES, inner, max_size=3)),
    max_size=6,
)


@given(PARAMS)
def test_parameters_are_encoded_as_the_sdk_does(params: dict[str, Any]) -> None:
    assert encode(params) == sent_by_the_sdk("post", "/v1/things", params)[3]


def test_every_form_of_ours_is_encoded_as_the_sdk_does() -> None:
    world = simulated_world()
    frozen = Frozen(statement_suffix="ORDER 7 & [8]", description="Bestellung \N{LATIN SMALL LETTER U WITH DIAERESIS}")
    authorize = replace(world.authorize(), frozen=frozen)
    refund = world.follow_up(authorize, K.REFUND, "pi_1")
    forms: list[Mapping[str, Any]] = [authorize_form(authorize, 1250), capture_form(1250), refund_form(refund, 1250)]
    for form in (*forms, {}):
        assert encode(form) == sent_by_the_sdk("post", "/v1/things", dict(form))[3]


async def test_requests_have_the_headers_that_the_sdk_gives_them() -> None:
    async with own_stripe(said({})) as told:
        requests = StripeRequests(KEY, told.address, 1, connect_timeout_s=1.0, timeout_s=1.0)
        asked: dict[str, Any] = {"limit": 100, "created": {"gte": 7}, "expand": ["data.latest_charge"]}
        await requests.get("/v1/things", asked)
        await requests.post("/v1/things", {"amount": 1}, "key-1")
        await requests.close()
    read, written = told.asked
    _, path, get_headers, _ = sent_by_the_sdk("get", "/v1/things", asked)
    _, _, post_headers, form = sent_by_the_sdk("post", "/v1/things", {"amount": 1, "idempotency_key": "key-1"})

    assert (read.method, f"{read.path}?{read.query}") == ("GET", path)
    assert (written.method, written.path, written.form) == ("POST", "/v1/things", {"amount": "1"})
    assert form == "amount=1"
    for headers, expected in ((read.headers, get_headers), (written.headers, post_headers)):
        assert {name: headers.get(name) for name in expected} == expected
        assert "Stripe-Version" in expected
    assert "Idempotency-Key" not in read.headers


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": {"type": "invalid_request_error"}}', "InvalidRequestError"),
        (400, b'{"error": {"type": "idempotency_error"}}', "IdempotencyError"),
        (401, b'{"error": {}}', "AuthenticationError"),
        (402, b'{"error": {"code": "card_declined"}}', "CardError"),
        (403, b'{"error": {}}', "PermissionError"),
        (429, b'{"error": {}}', "RateLimitError"),
        (500, b'{"error": {}}', "APIError"),
        (502, b"<html>", "APIError"),
        (302, b"", "APIError"),
    ],
)
def test_a_refusal_is_the_sdks_error(status: int, body: bytes, kind: str) -> None:
    sdk = StripeSdk(KEY)
    with pytest.raises(stripe.StripeError) as refused:
        sdk.refuse((body, status, {"Retry-After": "7"}))
    assert (type(refused.value).__name__, refused.value.http_status) == (kind, status)
    assert sdk.headers("get"), "and the next request is made as the first"


def test_a_success_is_no_refusal() -> None:
    with pytest.raises(AssertionError, match="HTTP 200"):
        StripeSdk(KEY).refuse((b"{}", 200, {}))
