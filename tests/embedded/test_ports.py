"""A port that was drawn is nobody else's, bound or not, for as long as its data directory is there."""

import shutil
import tempfile
from pathlib import Path

import pytest

from deploy.embedded import ports
from deploy.embedded.errors import EmbeddedError

FIRST = 20_000


@pytest.fixture
def one_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Leave a single port to draw from, and a place for claims that no other test has."""
    monkeypatch.setattr(ports, "PORTS", 1)
    monkeypatch.setattr(ports, "is_free", lambda _: True)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return FIRST


def test_a_drawn_port_is_kept_from_others_before_it_is_bound(one_port: int, tmp_path: Path) -> None:
    assert ports.kept_port(tmp_path / "a", "kafka") == one_port
    assert ports.kept_port(tmp_path / "a", "kafka") == one_port
    with pytest.raises(EmbeddedError, match="no free port"):
        ports.kept_port(tmp_path / "b", "kafka")
    with pytest.raises(EmbeddedError, match="no free port"):
        ports.free_port()


def test_a_port_is_free_again_once_its_directory_is_gone_or_has_others(one_port: int, tmp_path: Path) -> None:
    ports.kept_port(tmp_path / "a", "kafka")
    shutil.rmtree(tmp_path / "a")
    assert ports.kept_port(tmp_path / "b", "kafka") == one_port

    (tmp_path / "b" / "ports.json").write_text('{"kafka": 1}')
    assert ports.kept_port(tmp_path / "c", "kafka") == one_port


def test_without_a_place_for_claims_ports_are_drawn_all_the_same(
    one_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    assert ports.kept_port(tmp_path / "a", "kafka") == one_port
