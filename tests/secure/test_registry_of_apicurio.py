"""Apicurio's own server over TLS, and behind a login: as test_registry.py. Run by `make test-secure`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.embedded.ports import free_port
from schemas.models import EVENTS
from tests.neighbours.registry.apicurio import running_apicurio, with_tls
from tests.neighbours.registry.conftest import apicurio_server
from tests.secure.certificates import Authority
from tests.secure.front import HOST, front_of
from tests.secure.test_registry import CAFILE, LOGIN, URL, WRONG, asked, refused

__all__ = ["apicurio_server"]

pytestmark = [pytest.mark.secure, pytest.mark.timeout(600)]


class Server(NamedTuple):
    """plain, secured: its interface in Confluent's form without and with TLS. ca: who issued its certificate."""

    plain: str
    secured: str
    authority: Authority
    ca: str


@pytest.fixture(scope="module")
def server(apicurio_server: Path) -> Iterator[Server]:
    authority, port = Authority("our authority"), free_port()
    with tempfile.TemporaryDirectory(prefix="payments-apicurio-") as name:
        certificate, key = authority.issue("registry", hosts=(HOST,)).write(Path(name), "registry")
        more = with_tls(port, certificate, key)
        with running_apicurio(apicurio_server, Path(name), more) as plain:
            secured = f"https://{HOST}:{port}/apis/ccompat/v7"
            yield Server(plain, secured, authority, str(authority.write(Path(name), "ca")))


def test_with_its_authority_every_schema_is_registered(server: Server, tmp_path: Path) -> None:
    ran = asked(tmp_path, server.secured, **{CAFILE: server.ca})
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(f"{len(EVENTS)} schemas, {len(EVENTS)} registered now, 0 with problems\n")


def test_another_authority_and_another_name_are_told(server: Server, tmp_path: Path) -> None:
    other = str(Authority("another authority").write(tmp_path, "other"))
    refused(tmp_path, server.secured, "nobody issued whom we trust", CAFILE, **{CAFILE: other})
    named = server.secured.replace(HOST, "localhost")
    refused(tmp_path, named, "certificate for another name", URL, **{CAFILE: server.ca})


def test_plain_against_tls_and_tls_against_plain_are_told(server: Server, tmp_path: Path) -> None:
    refused(tmp_path, server.secured.replace("https:", "http:"), "speaks TLS only", f"{URL} to https://")
    refused(tmp_path, server.plain.replace("http:", "https:"), "speaks no TLS", URL, **{CAFILE: server.ca})


def test_before_a_front_with_a_login_the_right_one_is_let_in_and_a_wrong_one_is_told(
    server: Server, tmp_path: Path
) -> None:
    base = server.plain.removesuffix("/apis/ccompat/v7")
    with front_of(base, server.authority.issue("front", hosts=(HOST,)), tmp_path) as front:
        front.login = LOGIN
        url = front.url() + "/apis/ccompat/v7"
        given: dict[str, Any] = {CAFILE: server.ca, "PAYMENTS_TOPIC_PREFIX": "front."}
        login = "PAYMENTS_SCHEMA_REGISTRY_LOGIN"
        refused(tmp_path, url, "refuses the login", login, **given, **{login: WRONG})
        ran = asked(tmp_path, url, **given, **{login: LOGIN})
        assert (ran.code, ran.err) == (0, "")
