"""The class of each event that has a topic, by the event's name. The class has the same name."""

from typing import Final

from schemas import events
from schemas.records import Event
from schemas.topics import TOPICS

EVENTS: Final[dict[str, type[Event]]] = {event_type: vars(events)[event_type] for event_type in TOPICS}
"""In the order of the topic table."""
