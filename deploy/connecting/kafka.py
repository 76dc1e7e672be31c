"""What every connection of aiokafka goes through: secrets as they are now, and the cause if it is refused.

The library's clients catch every error of a connection and try the next broker, so that afterwards nobody knows the
cause. And they keep the password that they were made with.
"""

import asyncio
from typing import Any, Final

import aiokafka.client
import aiokafka.conn
import structlog
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError, NoError, UnsupportedSaslMechanismError, for_code
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from deploy.connecting.refusals import explain_refusal, login_wanted, token_refused
from outbox.driver.renewed import RenewedText

AGAIN_S: Final = 60.0
"""The same cause is logged again after so long."""
CAUSES_MAX: Final = 100

_create_conn: Final = aiokafka.conn.create_conn


class Refusals:
    """Why the last connection to each address was refused. It is forgotten when one is made."""

    def __init__(self) -> None:
        self._by_address: dict[tuple[str, int], str] = {}
        self._logged: dict[str, float] = {}
        self._served = False

    def note(self, host: str, port: int, why: str) -> None:
        """Keep the cause. In a process that has had a connection log it, unless that was done a short time ago.

        A process that never had one ends with the cause as its last line.
        """
        self._by_address[host, port] = why
        now = asyncio.get_running_loop().time()
        if self._served and now - self._logged.get(why, now - AGAIN_S) >= AGAIN_S:
            self._logged = {**self._logged, why: now} if len(self._logged) < CAUSES_MAX else {why: now}
            structlog.get_logger("deploy.connecting").error("Kafka refuses a connection", why=why)

    def note_served(self, host: str, port: int) -> None:
        """Forget the cause: a connection was made."""
        self._served = True
        self._by_address.pop((host, port), None)

    def forget(self, host: str, port: int) -> None:
        """Forget the cause: nobody answers there now."""
        self._by_address.pop((host, port), None)

    def text(self) -> str | None:
        """Return the causes that are known; None: there is none."""
        return "; and ".join(dict.fromkeys(self._by_address.values())) or None


REFUSALS: Final = Refusals()


async def create_conn(host: str, port: int, **options: Any) -> AIOKafkaConnection:
    """Make a connection as aiokafka does. Raises OSError, TimeoutError or KafkaError."""
    password = options.get("sasl_plain_password")
    if isinstance(password, RenewedText):
        options["sasl_plain_password"] = password.now()
    try:
        connection = await _create_conn(host, port, **options)
    except (OSError, KafkaError, TimeoutError) as error:
        why = await explain_refusal(host, port, options, error)
        if why is None:
            REFUSALS.forget(host, port)
        else:
            REFUSALS.note(host, port, why)
        raise
    except (AssertionError, ValueError, LookupError) as error:
        # The other side does not keep to the protocol. These would end the client's own tasks.
        raise KafkaConnectionError(f"{host}:{port} does not answer as a broker ({type(error).__name__})") from error
    if _is_untold(options):
        await _ask_first(connection, host, port, options)
    REFUSALS.note_served(host, port)
    return connection


def _is_untold(options: dict[str, Any]) -> bool:
    """Whether a connection that was made may be refused all the same, which its first request would show.

    A listener with SASL hangs up on who does not log in. And aiokafka does not read the answer to a token: a broker
    that refuses one says so in the last step of the login, not by an error code.
    """
    protocol = options.get("security_protocol", "PLAINTEXT")
    return not protocol.startswith("SASL_") or options.get("sasl_mechanism") == "OAUTHBEARER"


async def _ask_first(connection: AIOKafkaConnection, host: str, port: int, options: dict[str, Any]) -> None:
    """Ask for nothing in particular. Raises what the connection raises, and notes the cause."""
    try:
        _raise_if_refused(await connection.send(MetadataRequest([])))
    except (KafkaError, OSError, TimeoutError):
        connection.close()
        protocol = options.get("security_protocol", "PLAINTEXT")
        if protocol.startswith("SASL_"):
            REFUSALS.note(host, port, token_refused(host, port))
        elif await _takes_logins(host, port, options):
            REFUSALS.note(host, port, login_wanted(host, port, protocol))
        raise
    except BaseException:
        connection.close()
        raise


def _raise_if_refused(answer: Any) -> None:
    """Raise if a broker names not even itself: so it answers a question in the middle of a login, and hangs up."""
    if not answer.brokers:
        raise KafkaConnectionError("the login has not ended")


async def _takes_logins(host: str, port: int, options: dict[str, Any]) -> bool:
    """Whether it is a listener with SASL: only those let us begin a login."""
    try:
        connection = await _create_conn(host, port, **{**options, "on_close": None})
    except (OSError, KafkaError, TimeoutError):
        return False
    try:
        answer = await connection.send(SaslHandShakeRequest("PLAIN"))
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        connection.close()
    return for_code(answer.error_code) in {NoError, UnsupportedSaslMechanismError}


def install() -> None:
    """Have all clients of this process make their connections so. May be repeated."""
    if aiokafka.client.create_conn is _create_conn:
        aiokafka.client.create_conn = create_conn
