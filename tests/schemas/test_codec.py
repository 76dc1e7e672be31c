"""Round trips: what is encoded is decoded, byte for byte the same, in either framing."""

import pytest

from schemas.codec import Codec
from schemas.events import Event
from tests.schemas.builders import one_of_each

EACH = [pytest.param(event, id=event.TYPE) for event in one_of_each()]


@pytest.mark.parametrize("event", EACH)
def test_an_event_survives_the_wire(event: Event) -> None:
    codec = Codec()

    assert codec.decode(event.TYPE, event.order_id.encode(), codec.encode(event)) == event
