"""A caller of the sandbox that keeps every answer, and holds each against what all answers of Stripe's have."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count

import httpx

from tests.conformance.judging import Answer
from tests.sandbox.client import KEY

VERSION = "2026-08-26.dahlia"
_keys = count(1)


class Caller:
    """Sends requests to one sandbox. Paths are written as in the specification."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.answers: list[Answer] = []
        self.faults: list[str] = []
        self._request_ids: set[str] = set()

    def get(self, path: str, query: Mapping[str, str] | None = None, id_: str = "", what: str = "") -> Answer:
        """Get a resource. id_: in place of the path's parameter."""
        response = self.http.get(_with(path, id_), params=dict(query or {}), headers=_HEADERS)
        return self._keep(what or f"GET {path}", "get", path, response)

    def post(self, path: str, form: Mapping[str, str], id_: str = "", what: str = "", key: str | None = None) -> Answer:
        """Post a form under a key, a fresh one when none is given."""
        headers = _HEADERS | {"Idempotency-Key": key or f"conformance-{next(_keys)}"}
        response = self.http.post(_with(path, id_), data=dict(form), headers=headers)
        return self._keep(what or f"POST {path}", "post", path, response)

    def other(self, method: str, path: str) -> Answer:
        """Ask for an endpoint that the sandbox may not have, with an id that does not exist for each in its path."""
        url = re.sub(r"\{\w+\}", "x_1", path)
        return self._keep(f"{method.upper()} {path}", method, path, self.http.request(method, url, headers=_HEADERS))

    def _keep(self, what: str, method: str, path: str, response: httpx.Response) -> Answer:
        answer = Answer(what, method, path, response.status_code, response.json(), response.headers)
        request_id = response.headers.get("Request-Id", "")
        if not request_id.startswith("req_") or request_id in self._request_ids:
            self.faults.append(f"{what}: no Request-Id of its own ({request_id!r})")
        if response.headers.get("Stripe-Version") != VERSION:
            self.faults.append(f"{what}: the version is not repeated")
        self._request_ids.add(request_id)
        self.answers.append(answer)
        return answer


_HEADERS = {"Authorization": f"Bearer {KEY}", "Stripe-Version": VERSION}


@contextmanager
def calling(address: str) -> Iterator[Caller]:
    """Open a caller for the length of a block."""
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as http:
        yield Caller(http)


def _with(path: str, id_: str) -> str:
    return f"{path.partition('{')[0]}{id_}{path.rpartition('}')[2]}" if "{" in path else path
