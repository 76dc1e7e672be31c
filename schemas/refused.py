"""Why a schema registry gives no answer, and what to do: a sentence for each cause, without any secret."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

PROBE_S: Final = 3.0
URL: Final = "PAYMENTS_SCHEMA_REGISTRY_URL"
CAFILE: Final = "PAYMENTS_SCHEMA_REGISTRY_CAFILE"
LOGIN: Final = "PAYMENTS_SCHEMA_REGISTRY_LOGIN"
_OF_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""
_OF_TIME: Final = {
    9: "is not valid yet: check the clocks",
    10: "has expired: have the registry's certificate renewed, and check our clock",
}
_HUNG_UP: Final = frozenset({"RemoteProtocolError", "ReadError", "WriteError"})
"""Of httpx: what a server with TLS does to who speaks plain. A time-out is none: a probe would wait as long again."""
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


def explain_status(status: int) -> str:
    """Say what to do about an answer that is an error. status: of HTTP."""
    if status == 401:
        return f"the schema registry refuses the login, or wants one (HTTP 401): check {LOGIN} (or its _FILE)"
    if status == 403:
        return (
            f"the schema registry refuses the login (HTTP 403): check {LOGIN} (or its _FILE), and what that user may "
            "read and register"
        )
    return f"the schema registry refuses to answer (HTTP {status}): check its state and {URL}"


def explain_failure(error: BaseException) -> str:
    """Say what to do about a question that has no answer. error: what the client raised."""
    where = _asked(error)
    if where is None:
        return f"the schema registry does not answer as one ({type(error).__name__}): check {URL}"
    place = f"{where.hostname}:{where.port or (443 if where.scheme == 'https' else 80)}"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the schema registry at {place} {_of_certificate(cause)}"
        if isinstance(cause, ssl.SSLError) and (cause.reason or "") in _NOT_TLS:
            return f"the schema registry at {place} speaks no TLS: set {URL} to http://, or to its port with TLS"
        if isinstance(cause, (ConnectionRefusedError, socket.gaierror)):
            return f"no schema registry answers at {place}: check that it runs, {URL}, and the network"
    hung_up = type(error).__name__ in _HUNG_UP
    if where.scheme == "http" and hung_up and _speaks_tls(str(where.hostname), where.port or 80):
        return f"the schema registry at {place} speaks TLS only: set {URL} to https://, or to its port without TLS"
    return f"the schema registry at {place} does not answer as one ({type(error).__name__}): check {URL}"


def _asked(error: BaseException) -> SplitResult | None:
    """Return the address that was asked, if the client's HTTP library raised the error: several may be set."""
    try:
        return urlsplit(str(error.request.url))  # type: ignore[attr-defined] # httpx's errors have it
    except (AttributeError, RuntimeError, ValueError):
        return None


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OF_NAME:
        return f"shows a certificate for another name: set {URL} to a name in it, or have it issued for this one"
    if error.verify_code in _OF_TIME:
        return f"shows a certificate that {_OF_TIME[error.verify_code]}"
    return (
        f"shows a certificate that nobody issued whom we trust: set {CAFILE} to the certificate of its issuer (PEM); "
        f"OpenSSL says: {error.verify_message}"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _speaks_tls(host: str, port: int) -> bool:
    """Whether a server there answers TLS, whatever its certificate. Nothing is sent over it."""
    anybody: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), PROBE_S) as plain, anybody.wrap_socket(plain):
            return True
    except OSError:
        return False
