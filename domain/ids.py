"""Names for the ids that travel through the pipeline, so that one is never passed for another."""

from typing import NewType
from uuid import UUID

OrderId = NewType("OrderId", str)
EventId = NewType("EventId", UUID)
OperationId = NewType("OperationId", UUID)
ReservationId = NewType("ReservationId", UUID)
