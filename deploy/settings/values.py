"""The closed lists of words that settings take."""

from typing import Literal

GatewayKind = Literal["stripe", "sandbox", "simulated"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
