"""What was released stays as it was, and today's schemas keep it."""

import re
import tomllib
from datetime import date
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from schemas.models import EVENTS
from schemas.releases import (
    COMING,
    Released,
    broken_promises,
    candidates,
    new_or_changed,
    release_of,
    releases,
)
from schemas.shapes import SHAPES, load, shape_of

ROOT = Path(__file__).parents[2]
CHANGES = re.findall(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
"""Releases with their days, the newest first."""
FILES_OF = {"0.1.0": "5a0f1dc9610d39c829adc45fbe96b83edc9f9da3271fa8806664426142ff5aeb"}
"""SHA-256 over the files of a release, by name. A release adds a line; none is ever changed."""
OF_0_1_0 = {
    "CustomerNotificationRequested": "c7fa38bb1daa2080",
    "ItemsReserved": "267831b05bb27953",
    "OrderConfirmed": "cf96aeffeda22c33",
    "PaidAndConfirmed": "e39e46b4f550a660",
    "PaymentAuthorized": "eec966bf3f10a263",
    "PaymentFailed": "8814328835a7f6f8",
    "PaymentRefunded": "826088c461583b75",
    "PaymentRetryRequested": "ee099b55252a3106",
    "PaymentReviewRequired": "fb2ed238880e51d7",
    "PaymentVoided": "2d9305ee78ace07a",
    "ReservationFailed": "43976a89f63a1558",
    "ReservationReleased": "92a94253786316b2",
}


def test_released_files_are_never_changed() -> None:
    folder = files("schemas").joinpath("released")
    found = {}
    for release in folder.iterdir():
        if release.name == COMING:
            continue
        names = sorted(file.name for file in release.iterdir())
        found[release.name] = sha256(b"".join(release.joinpath(name).read_bytes() for name in names)).hexdigest()
    assert found == FILES_OF


def test_the_first_release_has_every_event_under_its_fingerprint() -> None:
    found = {r.event_type: shape_of(r.schema).fingerprint.hex() for r in releases() if r.release == "0.1.0"}
    assert found == OF_0_1_0
    assert found["OrderConfirmed"] == "cf96aeffeda22c33", "as other languages' libraries have it"


def test_todays_schemas_keep_every_release() -> None:
    assert broken_promises(releases()) == []


def test_the_coming_release_has_todays_new_and_changed_schemas_byte_for_byte() -> None:
    package = files("schemas")
    kept = {file.name: file.read_bytes() for file in package.joinpath("released", COMING).iterdir()}
    today = {f"{name}.avsc": package.joinpath("avro", f"{name}.avsc").read_bytes() for name in new_or_changed()}
    assert kept == today, "run `python -m schemas.releases`"
    assert [candidate.event_type for candidate in candidates()] == sorted(new_or_changed())


def test_the_coming_release_is_none_yet_and_the_changelog_names_it() -> None:
    assert COMING not in FILES_OF
    assert COMING not in {released.release for released in releases()}
    assert all(release_of(event_type) is None for event_type in new_or_changed())
    assert CHANGES[0] == (COMING, "not released")


def test_changelog_released_schemas_and_the_distribution_have_the_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == CHANGES[0][0] == COMING
    kept = {folder.name for folder in files("schemas").joinpath("released").iterdir()}
    assert kept <= {release for release, _ in CHANGES}, "schemas are kept for a release that CHANGELOG.md does not have"
    assert kept - {COMING} == FILES_OF.keys()
    assert all(date.fromisoformat(day) for _, day in CHANGES[1:]), "only the newest one is not released"


def test_each_event_names_the_release_that_has_its_schema() -> None:
    known = {(r.release, r.event_type) for r in releases()}
    for event_type in EVENTS:
        release = release_of(event_type)
        assert release is None or (release, event_type) in known
    assert {event_type for event_type in SHAPES if release_of(event_type) == "0.1.0"} <= OF_0_1_0.keys()


def test_a_change_of_meaning_and_an_event_that_is_gone_break_a_promise() -> None:
    millis = load("OrderConfirmed")
    next(f for f in millis["fields"] if f["name"] == "occurred_at")["type"]["logicalType"] = "timestamp-millis"

    problems = broken_promises([Released("9.0.0", "OrderConfirmed", millis), Released("9.0.0", "Gone", millis)])

    assert len(problems) == 3
    assert "OrderConfirmed does not fit release 9.0.0: new readers: occurred_at: the meaning changes" in problems[0]
    assert problems[2] == "Gone was released in 9.0.0 and is no event any more"
