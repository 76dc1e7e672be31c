"""/v1/events: the events of the sandbox, newest first, as Stripe lists them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from deploy.sandbox import known, params
from deploy.sandbox.errors import invalid, missing
from deploy.sandbox.events import Event, EventLog
from deploy.sandbox.params import Form
from deploy.sandbox.reading import created_within, page_limit

TYPES_MAX: Final = 20


def get_event(events: EventLog, form: Form, path: Mapping[str, Any]) -> bytes:
    """Return one event as JSON."""
    params.check_names(form, known.GET_EVENT)
    event = events.event(path["id"])
    if event is None:
        raise missing("event", path["id"], "id")
    return event.body


def list_events(events: EventLog, form: Form, _path: Mapping[str, Any]) -> bytes:
    """Return a page as JSON."""
    params.check_names(form, known.LIST_EVENTS)
    limit, (low, high), types = page_limit(form), created_within(form), _types(form)
    fitting = (e for e in _behind(events, form) if low <= e.created <= high and (not types or e.type in types))
    page = [event for event, _ in zip(fitting, range(limit + 1), strict=False)]
    bodies = [orjson.Fragment(event.body) for event in page[:limit]]
    return orjson.dumps({"object": "list", "url": "/v1/events", "has_more": len(page) > limit, "data": bodies})


def _behind(events: EventLog, form: Form) -> Iterator[Event]:
    """Return the events behind starting_after, or all."""
    after = params.text(form, "starting_after")
    newest = events.newest_first()
    if after is None:
        return newest
    if events.event(after) is None:
        raise missing("event", after, "starting_after", status=400)
    for event in newest:
        if event.id == after:
            break
    return newest


def _types(form: Form) -> set[str]:
    one, many = params.text(form, "type"), {params.text(form, name) or "" for name in form if name.startswith("types[")}
    if one is not None and many:
        raise invalid("You may only specify one of these parameters: type, types.", "type")
    if len(many) > TYPES_MAX:
        raise invalid(f"types has up to {TYPES_MAX} entries.", "types")
    if any("*" in name for name in many) or (one or "").count("*"):
        raise invalid("The sandbox takes no wildcards in types.", "type")
    return many if one is None else {one}
