"""Names of OpenTelemetry's semantic conventions, of one version, and names of ours.

Those for databases are stable in this version, those for messaging are in development.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version that the names below are of. The collector gets it with every span."""

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_DESTINATION_NAME: Final = "messaging.destination.name"
MESSAGING_DESTINATION_PARTITION_ID: Final = "messaging.destination.partition.id"
MESSAGING_CONSUMER_GROUP_NAME: Final = "messaging.consumer.group.name"
MESSAGING_BATCH_MESSAGE_COUNT: Final = "messaging.batch.message_count"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MESSAGING_MESSAGE_BODY_SIZE: Final = "messaging.message.body.size"
MESSAGING_KAFKA_OFFSET: Final = "messaging.kafka.offset"
MESSAGING_KAFKA_MESSAGE_KEY: Final = "messaging.kafka.message.key"
DB_SYSTEM_NAME: Final = "db.system.name"
SERVICE_PEER_NAME: Final = "service.peer.name"
ERROR_TYPE: Final = "error.type"
KAFKA: Final = "kafka"
POSTGRESQL: Final = "postgresql"

ORDER_ID: Final = "payments.order.id"
RECEIPT: Final = "payments.receipt"
"""What the inbox said: new, known, conflict or too_old."""
OPERATION_ID: Final = "payments.operation.id"
OPERATION_KIND: Final = "payments.operation.kind"
OUTCOME: Final = "payments.outcome"
EVENTS: Final = "payments.events"
"""How many events a transaction put into the outbox."""
OURS: Final = frozenset({ORDER_ID, RECEIPT, OPERATION_ID, OPERATION_KIND, OUTCOME, EVENTS})
