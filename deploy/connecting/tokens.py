"""Tokens for OAUTHBEARER: asked for at an endpoint, read from a file, or signed with AWS's credentials."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote_plus

import orjson
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from deploy.connecting.renewed import Certificates, RenewedContext

if TYPE_CHECKING:
    import aiohttp

ASK_S: Final = 10
ANSWER_BYTES_MAX: Final = 1 << 20
REUSED: Final = 0.2
"""This part of a token's life it is used for new connections. A broker ends a connection with its token, so a token
that is nearly over would not last; asking for each connection would be many questions at once."""
LIFE_S: Final = 60.0
"""The life of a token whose endpoint does not say."""


class NoToken(KafkaError):  # type: ignore[misc] # noqa: N818 - an answer, not a fault of ours
    """There is no token. The text says what to do, and nothing of the token or the secret.

    Of the client's family, because an error of another one would end the client's tasks.
    """


class Token(NamedTuple):
    """A token, and how long it lives from now on, in seconds."""

    text: str
    life_s: float


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Gives a token for each new connection; one token serves those that are made at about the same time.

    fetch: gets a new one; raises NoToken. If it cannot, an old token is used as long as it lives.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Token]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._since = 0.0
        self._fetching: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def token(self) -> str:
        """Return a token. Raises NoToken."""
        async with self._lock():
            if self._token is None or self._clock() - self._since > self._token.life_s * REUSED:
                began = self._clock()
                try:
                    self._token, self._since = await self._fetch(), began
                except NoToken:
                    if self._token is None or self._clock() - self._since >= self._token.life_s:
                        raise
            return self._token.text

    def _lock(self) -> asyncio.Lock:
        """Return a lock of the running loop: a command may run several, one after the other."""
        loop = asyncio.get_running_loop()
        if self._fetching is None or self._loop is not loop:
            self._fetching, self._loop = asyncio.Lock(), loop
        return self._fetching


class Endpoint(NamedTuple):
    """Where tokens are given for a client's id and secret (RFC 6749, 4.4). secret: returns it as it is now."""

    url: str
    client_id: str
    secret: Callable[[], str]
    scope: str | None
    certificates: Certificates


def from_endpoint(endpoint: Endpoint) -> Tokens:
    """Ask for tokens at an endpoint. Raises OSError for certificates that cannot be used."""
    import aiohttp  # noqa: PLC0415 - most brokers want no token

    secure = RenewedContext(endpoint.certificates)

    async def fetch() -> Token:
        form = {"grant_type": "client_credentials", **({"scope": endpoint.scope} if endpoint.scope else {})}
        try:
            login = b64encode(f"{quote_plus(endpoint.client_id)}:{quote_plus(endpoint.secret())}".encode()).decode()
            timeout = aiohttp.ClientTimeout(total=ASK_S)
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.post(
                    endpoint.url,
                    data=form,
                    headers={"Authorization": f"Basic {login}"},
                    ssl=secure,
                    allow_redirects=False,
                ) as answer,
            ):
                return _token_of(answer.status, await _whole(answer))
        except aiohttp.ClientConnectorCertificateError as error:
            raise NoToken(
                f"the certificate of {_ENDPOINT} is not accepted: "
                "set PAYMENTS_KAFKA_OAUTH_CAFILE to its issuer's, and check the name in the address"
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoToken(f"{_ENDPOINT} does not answer ({type(error).__name__}): check that it runs") from error

    return Tokens(fetch)


_ENDPOINT: Final = "the token endpoint of PAYMENTS_KAFKA_OAUTH_TOKEN_URL"


async def _whole(answer: "aiohttp.ClientResponse") -> bytes:
    body = b""
    async for part in answer.content.iter_chunked(1 << 16):
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise NoToken(f"{_ENDPOINT} answers with more than a token: check the address")
    return body


def _token_of(status: int, body: bytes) -> Token:
    """Read the endpoint's answer. Nothing of it is shown: it may hold the token."""
    if status in {400, 401, 403}:
        raise NoToken(
            f"{_ENDPOINT} refuses us (HTTP {status}): check PAYMENTS_KAFKA_OAUTH_CLIENT_ID, "
            "PAYMENTS_KAFKA_OAUTH_CLIENT_SECRET (or its _FILE) and PAYMENTS_KAFKA_OAUTH_SCOPE"
        )
    if status != 200:
        raise NoToken(f"{_ENDPOINT} answers HTTP {status}: check the address")
    try:
        given: Any = orjson.loads(body)
        text, life = given["access_token"], given.get("expires_in", LIFE_S)
        return _checked(text, float(life))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoToken(f"{_ENDPOINT} gives no token (access_token, expires_in): check the address") from error


def _checked(text: object, life_s: float) -> Token:
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or not life_s > 0:
        raise ValueError("no token")
    return Token(text, life_s)


def from_file(path: Path) -> Tokens:
    """Read the token from a file that somebody renews, as Kubernetes does for service accounts."""

    async def fetch() -> Token:
        name = f"PAYMENTS_KAFKA_OAUTH_TOKEN_FILE: {path}"
        try:
            with path.open("rb") as file:
                text = file.read(ANSWER_BYTES_MAX).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoToken(f"{name} cannot be read ({type(error).__name__}): name a file that holds a token") from error
        if not text:
            raise NoToken(f"{name} is empty: write the token into it")
        return Token(text, 0.0)  # read for each connection

    return Tokens(fetch)


def from_aws(region: str) -> Tokens:
    """Sign tokens for Amazon MSK with the AWS credentials of this process. Needs the extra `msk`.

    Raises ModuleNotFoundError if it is not installed.
    """
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415 - an extra

    def sign() -> Token:
        text, until_ms = MSKAuthTokenProvider.generate_auth_token(region)
        return Token(text, until_ms / 1000 - time.time())  # noqa: TID251 - AWS says when it ends

    async def fetch() -> Token:
        try:
            return await asyncio.to_thread(sign)
        except Exception as error:
            raise NoToken(
                f"AWS's credentials cannot sign a token for MSK ({type(error).__name__}): give this process a role "
                f"that may connect to the cluster, and check PAYMENTS_KAFKA_AWS_REGION"
            ) from error

    return Tokens(fetch)
