"""What `deploy/releases.toml` says of a release is true of its commit; contractions wait for what is released."""

import tomllib

import pytest

from outbox.schema.steps import PAUSES, Kind, revisions, steps
from schemas.releases import COMING
from schemas.version import RELEASE
from tests.schemas.test_releases import CHANGES
from tests.upgrade.releases import Released, file_of, has_commit, released


def test_every_release_of_the_changelog_but_the_coming_one_is_named() -> None:
    assert [one.version for one in released()] == [version for version, _ in reversed(CHANGES) if version != COMING]
    assert RELEASE not in [one.version for one in released()]


@pytest.mark.parametrize("one", released(), ids=lambda one: one.version)
def test_a_releases_commit_has_its_version_and_its_schema(one: Released) -> None:
    if not has_commit(one.commit):
        pytest.skip("a shallow clone: `git fetch --unshallow` brings it")
    assert tomllib.loads(file_of(one.commit, "pyproject.toml"))["project"]["version"] == one.version
    assert one.schema in revisions()
    assert one.tag == f"v{one.version}"


def test_a_contraction_comes_after_an_expansion_that_no_release_before_has() -> None:
    for step in steps():
        if step.kind is Kind.CONTRACT and step.revision not in PAUSES:
            older = [one.version for one in released() if one.schema < step.revision and one.schema >= step.oldest]
            assert not older, f"{step.revision} takes away what {older} may use: expand first, in the same release"
