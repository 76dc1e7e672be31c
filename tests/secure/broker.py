"""The embedded broker with listeners for TLS, client certificates and logins, and with rules of access.

Its listener PLAINTEXT is the administrator's: who comes there is a super user.
"""

from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from deploy.embedded.kafka import KafkaServer
from deploy.embedded.ports import HOST, kept_port
from deploy.embedded.process import Command
from tests.eventually import eventually
from tests.secure.certificates import Authority, Issued
from tests.secure.issuer import AUDIENCE, Issuer

USER, PASSWORD = "payments-app", "pass=word, of;app"
LISTENERS = {"TLS": "SSL", "MTLS": "SSL", "LOGIN": "SASL_SSL", "OPEN": "SASL_PLAINTEXT"}
MECHANISMS = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"
_MODULES = "org.apache.kafka.common.security"
LONG_S = 3600.0


class SecureKafka(KafkaServer):
    """life_s: after so long a connection must have logged in again (connections.max.reauth.ms)."""

    def __init__(
        self, data_dir: Path, authority: Authority, issuer: Issuer, own: Issued, life_s: float = LONG_S
    ) -> None:
        super().__init__(data_dir, progress=print, fast=True)
        self.authority = authority
        self.issuer = issuer
        self._own = own
        self._life_s = life_s
        self.ports = {name: kept_port(data_dir, f"kafka-{name}") for name in LISTENERS}

    def at(self, listener: str, host: str = HOST) -> str:
        return f"{host}:{self.ports[listener]}"

    def _command(self) -> Command:
        command = super()._command()
        self._java.insert(1, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.issuer.url}/keys")
        return Command(argv=(*self._java, "kafka.Kafka", str(self._config)), cwd=command.cwd)

    def _properties(self) -> str:
        ours = {name: f"{name}://{HOST}:{port}" for name, port in self.ports.items()}
        more = {
            "listeners": ",".join(
                [f"PLAINTEXT://{self.address}", f"CONTROLLER://{HOST}:{self._controller_port}", *ours.values()]
            ),
            "advertised.listeners": ",".join([f"PLAINTEXT://{self.address}", *ours.values()]),
            "listener.security.protocol.map": ",".join(
                ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{n}:{p}" for n, p in LISTENERS.items())]
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _line(self._own.certificate),
            "ssl.keystore.key": _line(self._own.key),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.certificates": _line(self.authority.certificate),
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:admin",
            "sasl.enabled.mechanisms": MECHANISMS,
        }
        for listener in ("login", "open"):
            named = f"listener.name.{listener}"
            plain = f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            more |= {
                f"{named}.sasl.enabled.mechanisms": MECHANISMS,
                f"{named}.plain.sasl.jaas.config": plain.replace(';";', '\\;";'),
                f"{named}.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
                f"{named}.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
                f"{named}.oauthbearer.sasl.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
                f"{named}.oauthbearer.sasl.server.callback.handler.class": (
                    f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
                ),
                f"{named}.sasl.oauthbearer.jwks.endpoint.url": f"{self.issuer.url}/keys",
                f"{named}.sasl.oauthbearer.expected.audience": AUDIENCE,
                f"{named}.oauthbearer.connections.max.reauth.ms": str(int(self._life_s * 1000)),
            }
        return super()._properties() + "".join(f"{name}={value}\n" for name, value in more.items())

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def set_password(self, password: str = PASSWORD, user: str = USER) -> None:
        """Give a user this password, for both mechanisms of SCRAM."""
        wanted = [
            UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password.encode())
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        admin = self.admin()
        for one in wanted:
            for made in admin.alter_user_scram_credentials([one]).values():
                made.result(30)

    def allow(
        self,
        kind: ResourceType,
        name: str,
        *operations: AclOperation,
        user: str = USER,
        pattern: ResourcePatternType = ResourcePatternType.LITERAL,
    ) -> None:
        rules = [
            AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]
        admin = self.admin()
        for made in admin.create_acls(rules).values():
            made.result(30)
        of_them = AclBindingFilter(kind, name, pattern, f"User:{user}", "*", AclOperation.ANY, AclPermissionType.ANY)
        # The broker follows its controller a moment later.
        eventually(lambda: set(rules) <= set(admin.describe_acls(of_them).result(30)), "the broker knows the rules")


def _line(pem: bytes) -> str:
    """Write PEM as one line of a properties file."""
    return pem.decode().strip().replace("\n", "\\n")
