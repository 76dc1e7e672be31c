"""The embedded broker with passwords and rules of access, as Strimzi sets them up from the chart's users.

Its plain listener is the administrator's: who comes there may do everything.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from deploy.embedded.kafka import KafkaServer
from deploy.embedded.ports import HOST, kept_port

PASSWORD: Final = "a-word-of-the-user"
ANSWER_S: Final = 30
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class GuardedKafka(KafkaServer):
    """Users log in at `login`, with SCRAM-SHA-512; what no rule allows is refused."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, progress=print, fast=True)
        self.login = f"{HOST}:{kept_port(data_dir, 'kafka-login')}"

    def _properties(self) -> str:
        lines = super()._properties()
        lines = re.sub(r"(?m)^(listeners=.*|advertised\.listeners=.*)$", rf"\1,LOGIN://{self.login}", lines)
        more = {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.login.scram-sha-512.sasl.jaas.config": _SCRAM,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        return lines + "".join(f"{name}={value}\n" for name, value in more.items())

    def make_user(self, name: str, acls: Iterable[Any]) -> None:
        """Make a user with a password and the rules of a KafkaUser."""
        admin = AdminClient({"bootstrap.servers": self.address})
        word = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        made = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, word, PASSWORD.encode())])
        rules = [_rule(name, acl, operation) for acl in acls for operation in acl["operations"]]
        for future in (*made.values(), *admin.create_acls(rules).values()):
            future.result(ANSWER_S)


def _rule(user: str, acl: Any, operation: str) -> AclBinding:
    """Translate one operation of a KafkaUser's rule."""
    return AclBinding(
        ResourceType[acl["resource"]["type"].upper()],
        acl["resource"]["name"],
        ResourcePatternType[acl["resource"]["patternType"].upper()],
        f"User:{user}",
        acl["host"],
        AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
        AclPermissionType.ALLOW,
    )
