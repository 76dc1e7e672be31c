"""A Kafka with rules of access, which a test makes and takes back: what an administrator's mistake does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from deploy.embedded.kafka import KafkaServer

NOBODY = "User:ANONYMOUS"


class GuardedKafka(KafkaServer):
    """A broker with rules of access. Who may do what it says is asked for topics only: there are no other rules."""

    def _properties(self) -> str:
        authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        return super()._properties() + (
            f"authorizer.class.name={authorizer}\nallow.everyone.if.no.acl.found=true\nsuper.users=User:admin\n"
        )


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    server = GuardedKafka(tmp_path, progress=print, fast=True)
    try:
        server.start()
        yield server.address
    finally:
        server.kill()


@contextmanager
def forbidden(servers: str, kind: ResourceType, name: str, operation: AclOperation) -> Iterator[None]:
    """Forbid everybody this operation meanwhile. Nothing else has rules, so all else stays allowed."""
    admin = AdminClient({"bootstrap.servers": servers})
    rules = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, NOBODY, "*", AclOperation.ALL, AclPermissionType.ALLOW),
        AclBinding(kind, name, ResourcePatternType.LITERAL, NOBODY, "*", operation, AclPermissionType.DENY),
    ]
    for made in admin.create_acls(rules).values():
        made.result(30)
    try:
        yield
    finally:
        of_it = AclBindingFilter(
            kind, name, ResourcePatternType.LITERAL, NOBODY, "*", AclOperation.ANY, AclPermissionType.ANY
        )
        for deleted in admin.delete_acls([of_it]).values():
            deleted.result(30)
