"""What Stripe's SDK says of a request before it is sent, and of a refusal after it came: headers, errors, parameters.

In a call of its own the SDK spends several times the CPU that its HTTP client needs: it makes the same headers anew,
encodes slowly, logs bodies, and makes an object of each field of an answer. So we ask it once for the headers, send by
its HTTP client, and hand it refusals only. Nothing private of it is used.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn
from urllib.parse import quote_plus

import stripe

KEY_HEADER: Final = "Idempotency-Key"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""What stands for itself in a form."""
_ANY_PATH: Final = "/v1/payment_intents"

Answer = tuple[bytes, int, Mapping[str, str]]
"""Body, status and headers."""
_NOTHING: Final[Answer] = (b"{}", 200, {})


class _StandIn(stripe.HTTPClient):
    """Sends nothing: keeps the headers of a request, and answers what it is told to."""

    name = stripe.AIOHTTPClient.name

    def __init__(self) -> None:
        super().__init__()
        self.answer = _NOTHING
        self.headers: Mapping[str, str] = {}

    def request(self, *request: Any, **_: Any) -> Any:
        """Keep the headers; return the answer. request: method, URL, headers, form."""
        self.headers = request[2]
        return self.answer

    def close(self) -> None:
        """Close nothing."""


class StripeSdk:
    """The SDK with one API key, before a stand-in for the network. All of it runs at once, without waiting.

    The SDK's telemetry is off, for the whole process, because the SDK has one switch. Otherwise it would write a file
    with an id of its own into the home directory, and send that id, the platform, and how long requests took.
    """

    def __init__(self, api_key: str) -> None:
        stripe.enable_telemetry = False
        self._network = _StandIn()
        self._client = stripe.StripeClient(api_key, http_client=self._network, max_network_retries=0)

    def headers(self, method: str) -> Mapping[str, str]:
        """Return the headers of every request of this method. That of a POST lacks only its idempotency key."""
        self._ask(method, _NOTHING)
        return {name: value for name, value in self._network.headers.items() if name != KEY_HEADER}

    def refuse(self, answer: Answer) -> NoReturn:
        """Raise the SDK's error for an answer whose status is no success."""
        self._ask("get", answer)
        raise AssertionError(f"the SDK takes HTTP {answer[1]} for a success")

    def _ask(self, method: str, answer: Answer) -> None:
        self._network.answer = answer
        try:
            self._client.raw_request(method, _ANY_PATH)
        finally:
            self._network.answer = _NOTHING


def encode(params: Mapping[str, Any]) -> str:
    """Return the parameters as the SDK puts them into a form or a query. What is None is left out."""
    return "&".join(_fields(params))


def _fields(params: Mapping[str, Any], outer: str = "") -> Iterator[str]:
    for name, value in params.items():
        yield from _field(f"{outer}[{name}]" if outer else name, value)


def _field(name: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, dict):
        yield from _fields(value, name)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _field(f"{name}[{number}]", each)
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield f"{_name(name)}={text if _PLAIN.fullmatch(text) else _quoted(text)}"


def _quoted(text: str) -> str:
    return quote_plus(text, safe="[]")


_name: Final = lru_cache(maxsize=1_000)(_quoted)
"""Names of parameters: a few dozen, again and again."""
