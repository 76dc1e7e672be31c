"""Answers scrapes and probes over HTTP, in plain text and JSON. It tells nothing of an order or a customer."""

from collections.abc import Callable, Mapping

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from deploy.metrics.health import Health

METRICS = "/metrics"
PROBES: Mapping[str, str] = {"/live": "live", "/ready": "ready", "/started": "started"}


class Answering:
    """What one address answers. registry, health: None if they are not asked for there. scraped: called after each."""

    def __init__(
        self, registry: CollectorRegistry | None, health: Health | None, scraped: Callable[[], None] = lambda: None
    ) -> None:
        self._registry = registry
        self._health = health
        self._scraped = scraped

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        if self._registry is not None and request.path == METRICS:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
            body = encode(self._registry)
            self._scraped()
            return web.Response(body=body, headers={"Content-Type": content_type})
        if self._health is not None and request.path in PROBES:
            good, document = getattr(self._health, PROBES[request.path])()
            return web.Response(
                status=200 if good else 503, body=orjson.dumps(document), content_type="application/json"
            )
        return web.Response(status=404, text=f"there is {', '.join(self._paths())}\n")

    def _paths(self) -> list[str]:
        return [*([METRICS] if self._registry is not None else []), *(PROBES if self._health is not None else [])]
