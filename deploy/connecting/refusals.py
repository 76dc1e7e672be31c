"""Why a broker refuses a connection, and what to do: a sentence for each cause, without any secret."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiokafka.errors import IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from deploy.connecting.probe import speaks_plain, speaks_tls
from deploy.connecting.tokens import NoToken

_PROTOCOL: Final = "PAYMENTS_KAFKA_SECURITY_PROTOCOL"
_OF_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""
_OF_TIME: Final = {
    9: "is not valid yet: check the clocks",
    10: "has expired: have the brokers' certificate renewed, and check our clock",
}
_UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21})
"""X509_V_ERR_* of a chain that does not end in a certificate that we trust."""
_OURS: Final = "PAYMENTS_KAFKA_SSL_CERTFILE and PAYMENTS_KAFKA_SSL_KEYFILE"
_ALERTS: Final = {
    "CERTIFICATE_REQUIRED": f"wants a certificate of ours: set {_OURS}",
    "CERTIFICATE_EXPIRED": "refuses our certificate, which has expired: renew PAYMENTS_KAFKA_SSL_CERTFILE",
    "UNKNOWN_CA": "does not trust who issued our certificate: use one that PAYMENTS_KAFKA_SSL_CERTFILE's issuer made "
    "for this cluster, or have the brokers trust it (ssl.truststore)",
    "CERTIFICATE_UNKNOWN": "refuses our certificate (not trusted, expired, or not for clients): check "
    "PAYMENTS_KAFKA_SSL_CERTFILE, or have the brokers trust its issuer (ssl.truststore)",
    "BAD_CERTIFICATE": f"refuses our certificate, or wants one: check {_OURS}",
    "HANDSHAKE_FAILURE": f"agrees on no TLS with us, or wants a certificate of ours: check {_OURS}",
    "PROTOCOL_VERSION": "speaks no TLS version of ours: have the brokers allow TLSv1.2 or newer",
}
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


async def explain_refusal(host: str, port: int, options: Mapping[str, Any], error: BaseException) -> str | None:
    """Say what to do about a connection that was not made; None if all that is known is that nobody answers.

    options: create_conn's of aiokafka. error: what it raised.
    """
    where, protocol = f"Kafka at {host}:{port}", options.get("security_protocol", "PLAINTEXT")
    for cause in _causes(error):
        if isinstance(cause, NoToken):
            return str(cause.args[0])  # the text alone: aiokafka puts its class in front
        if (said := _of(cause, options)) is not None:
            return f"{where} {said}"
    if protocol.endswith("SSL"):
        if await speaks_plain(host, port):
            plain = "SASL_PLAINTEXT" if protocol == "SASL_SSL" else "PLAINTEXT"
            return f"{where} speaks no TLS: set {_PROTOCOL}={plain}, or the port of a listener with TLS"
    elif await speaks_tls(host, port):
        secure = "SASL_SSL" if protocol == "SASL_PLAINTEXT" else "SSL"
        return f"{where} speaks TLS only: set {_PROTOCOL}={secure} (or SASL_SSL), or the port of a listener without TLS"
    return None


def _of(cause: BaseException, options: Mapping[str, Any]) -> str | None:
    """Say what this error means, without the address."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _of_certificate(cause)
    if isinstance(cause, ssl.SSLError):
        return _of_alert(cause)
    if isinstance(cause, IllegalSaslStateError):
        plain = "SSL" if options.get("security_protocol") == "SASL_SSL" else "PLAINTEXT"
        return f"takes no login: set {_PROTOCOL}={plain}, or the port of a listener with SASL"
    if isinstance(cause, UnsupportedSaslMechanismError):
        return (
            f"does not offer the login {options.get('sasl_mechanism')}: set PAYMENTS_KAFKA_SASL_MECHANISM to one of "
            "its listener (sasl.enabled.mechanisms)"
        )
    return f"refuses the login: {_of_login(options)}" if isinstance(cause, SaslAuthenticationFailed) else None


def login_wanted(host: str, port: int, protocol: str) -> str:
    """Say what to do when a broker hangs up at the first request without a login."""
    return (
        f"Kafka at {host}:{port} ends the connection at the first request: it probably wants a login; set "
        f"{_PROTOCOL}={'SASL_SSL' if protocol == 'SSL' else 'SASL_PLAINTEXT'} and the PAYMENTS_KAFKA_SASL_ settings"
    )


def token_refused(host: str, port: int) -> str:
    """Say what to do when a broker hangs up after it was given a token."""
    return (
        f"Kafka at {host}:{port} does not accept the token: check PAYMENTS_KAFKA_OAUTH_TOKEN_URL and _SCOPE (or "
        "_TOKEN_FILE, or the AWS role), and that the brokers trust its issuer and expect its audience"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OF_NAME:
        return (
            "shows a certificate for another name: set PAYMENTS_KAFKA_BOOTSTRAP_SERVERS (and the brokers' "
            "advertised.listeners) to a name in it, or have it issued for this one"
        )
    if error.verify_code in _OF_TIME:
        return f"shows a certificate that {_OF_TIME[error.verify_code]}"
    if error.verify_code in _UNTRUSTED:
        return (
            "shows a certificate that nobody issued whom we trust: set PAYMENTS_KAFKA_SSL_CAFILE to the "
            "certificate of its issuer (PEM)"
        )
    return f"shows a certificate that is refused ({error.verify_message}): have it issued anew"


def _of_alert(error: ssl.SSLError) -> str | None:
    reason = error.reason or ""
    if reason in _NOT_TLS:
        return None  # the probe tells
    return next((words for end, words in _ALERTS.items() if reason.endswith(end)), None)


def _of_login(options: Mapping[str, Any]) -> str:
    return (
        "check PAYMENTS_KAFKA_SASL_USERNAME and PAYMENTS_KAFKA_SASL_PASSWORD (or its _FILE), and that this user has a "
        f"password for {options.get('sasl_mechanism')}"
    )
