"""Two messages of upstream are the same if they say the same, whenever and however they were written."""

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from domain.content import hash_content
from schemas.events import UpstreamEvent
from tests.schemas.builders import one_of_each, order_confirmed


class _GiftWrapped(UpstreamEvent):
    TYPE: ClassVar[str] = "GiftWrapped"

    token: str = Field(repr=False)


def test_an_upstream_event_of_a_new_type_is_the_same_whatever_its_message_says() -> None:
    like = order_confirmed()
    first = _GiftWrapped(
        event_id=like.event_id, occurred_at=like.occurred_at, order_id="A-1", correlation_id="c", token="a"
    )
    again = first.model_copy(
        update={"event_id": UUID(int=7), "occurred_at": like.occurred_at + timedelta(hours=1), "correlation_id": "d"}
    )
    assert hash_content(first, b"x") == hash_content(again, b"y")
    assert hash_content(first, b"x") != hash_content(first.model_copy(update={"token": "b"}), b"x")
    assert hash_content(first, b"x") != hash_content(first.model_copy(update={"order_id": "A-2"}), b"x")


def test_events_of_ours_are_the_same_if_their_bytes_are() -> None:
    for event in one_of_each():
        if not isinstance(event, UpstreamEvent):
            assert hash_content(event, b"x") == hash_content(event, b"x") != hash_content(event, b"y")
