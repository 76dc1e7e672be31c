"""The folder: a crash at any step leaves whole files and no event twice, and it takes nothing that does not belong."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from deploy.failures import Failure
from deploy.replay.folder import open_folder
from deploy.replay.formats import format_of
from deploy.replay.manifest import ALL, Window
from tests.replaying.building import chunk_of, encoded, put, stretches
from tests.schemas import builders as b

STEPS_MAX = 200


class Killed(BaseException):
    """The process ends here."""


class Steps:
    """Counts what changes the disk, and ends the process at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
        self.left = last
        for name in ("replace", "fsync", "rename", "truncate"):
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))

    def _counting(self, real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **options: object) -> object:
            self.left -= 1
            if self.left < 0:
                raise Killed
            return real(*args, **options)

        return step


def ids_of(out: Path, form: str) -> list[str]:
    """Read every id, as one who reads the folder whatever a run has left there."""
    found: list[str] = []
    for path in out.glob(f"topic=*/day=*/*.{form}"):
        if form == "parquet":
            found += pq.read_table(path, columns=["event_id"], partitioning=None).column(0).to_pylist()
        else:
            found += [json.loads(line)["event_id"] for line in path.read_text().splitlines()]
    return sorted(found)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_run_that_is_killed_at_any_step_leaves_whole_files_and_no_event_twice(tmp_path: Path, form: str) -> None:
    first = [b.order_confirmed(order_id=f"o-{n}") for n in range(3)]
    later = [*first[:1], *(b.order_confirmed(order_id=f"later-{n}") for n in range(3)), b.payment_voided()]
    wanted = sorted(str(event.event_id) for event in [*first, *later[1:]])
    garbage = [("OrderConfirmed", b"garbage")]
    for step in range(STEPS_MAX):
        out = tmp_path / str(step)
        put(out, form, *stretches([*encoded(first), *garbage]))
        with pytest.MonkeyPatch.context() as patched:
            steps = Steps(patched, step)
            with suppress(Killed):
                put(out, form, *stretches([*encoded(later), *garbage], begin=4))
        found = ids_of(out, form)
        assert len(found) == len(set(found)), step
        assert set(found) <= set(wanted)
        if steps.left >= 0:
            assert step > 8, "a commit has more steps than that"
            return
        # What the next run reads depends on what was committed.
        state = json.loads((out / "manifest.json").read_text())["topics"]["OrderConfirmed"]["next"]["0"]
        put(out, form, *(stretches([*encoded(later), *garbage], begin=4) if state == 4 else ()))
        assert ids_of(out, form) == wanted, step
        lines = [json.loads(line)["offset"] for line in (out / "rejected.jsonl").read_text().splitlines()]
        assert lines == [3, 8], step
        assert [path for path in (out / ".tmp").iterdir() if path.suffix] == []
    raise AssertionError("it never came to its end")


def test_temporary_files_of_a_crash_are_gone_after_the_next_start(tmp_path: Path) -> None:
    put(tmp_path, "parquet")
    (tmp_path / ".tmp" / "0").write_bytes(b"half")
    put(tmp_path, "parquet", *stretches(encoded([b.order_confirmed()])))
    put(tmp_path, "parquet")
    assert not (tmp_path / ".tmp" / "0").exists()
    assert len(ids_of(tmp_path, "parquet")) == 1


def test_a_second_run_into_one_folder_is_refused_while_the_first_one_writes(tmp_path: Path) -> None:
    with (
        open_folder(tmp_path, "parquet", "", ALL) as folder,
        pytest.raises(Failure, match=f"another replay writes to .* \\(process {os.getpid()}\\)"),
        open_folder(tmp_path, "parquet", "", ALL),
    ):
        pass
    chunk_of("parquet", stretches(encoded([b.order_confirmed()])))
    with open_folder(tmp_path, "parquet", "", ALL) as again:
        assert again.manifest == folder.manifest


@pytest.mark.parametrize(
    ("form", "prefix", "window", "words"),
    [
        ("jsonl", "", ALL, "say --format parquet"),
        ("parquet", "other.", ALL, "topics with the prefix ''"),
        ("parquet", "", Window(0, None), "leave out --from and --to"),
    ],
)
def test_a_folder_takes_no_other_format_prefix_or_window(
    tmp_path: Path, form: str, prefix: str, window: Window, words: str
) -> None:
    put(tmp_path, "parquet", *stretches(encoded([b.order_confirmed()])))
    with pytest.raises(Failure, match=words), open_folder(tmp_path, form, prefix, window):
        pass


def test_a_folder_in_which_nothing_was_read_takes_the_right_prefix_after_a_wrong_one(tmp_path: Path) -> None:
    for prefix in ("wrong.", "shop."):
        with open_folder(tmp_path, "jsonl", prefix, ALL) as folder:
            assert folder.manifest.prefix == prefix


def test_a_folder_of_a_window_goes_on_with_the_same_window_only(tmp_path: Path) -> None:
    window = Window(1_000, 2_000)
    for _ in range(2):
        put(tmp_path, "jsonl", window=window)
    for other in (ALL, Window(1_000, 2_001)):
        with (
            pytest.raises(Failure, match=r"--from 1970-01-01T00:00:01\.000Z"),
            open_folder(tmp_path, "jsonl", "", other),
        ):
            pass


@pytest.mark.parametrize("name", ["holiday.jpg", "topic=OrderConfirmed", "rejected.jsonl"])
def test_a_folder_with_files_and_no_manifest_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(Failure, match=r"no manifest\.json"), open_folder(tmp_path, "parquet", "", ALL):
        pass
    assert (tmp_path / name).read_text() == "mine"


def test_files_of_others_in_a_day_stay(tmp_path: Path) -> None:
    put(tmp_path, "jsonl", *stretches(encoded([b.order_confirmed()])))
    (day,) = tmp_path.glob("topic=*/day=*")
    (day / "notes.txt").write_text("mine")
    put(tmp_path, "jsonl")
    assert (day / "notes.txt").read_text() == "mine"
    assert len(ids_of(tmp_path, "jsonl")) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}'])
def test_a_manifest_that_cannot_be_read_ends_the_run_in_words(tmp_path: Path, text: str) -> None:
    put(tmp_path, "jsonl")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(Failure, match=r"manifest.json is"), open_folder(tmp_path, "jsonl", "", ALL):
        pass


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "deploy.replay.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Failure, match=r"pip install 'payments\[replay\]', or ask for --format jsonl") as failed:
        format_of("parquet")
    assert failed.value.exit_code == 2
    assert format_of("jsonl").suffix == "jsonl"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(Failure, match=r"cannot write to .*/file/out"),
        open_folder(tmp_path / "file" / "out", "jsonl", "", ALL),
    ):
        pass
