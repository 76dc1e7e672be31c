"""Holds our AsyncAPI document against the official parser, by the kit that other teams may use as well."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.contract_pages.asyncapi import asyncapi_of
from deploy.contract_pages.facts import contract_of
from deploy.settings import Settings

KIT: Final = Path(__file__).parents[2] / "deploy" / "kits" / "contract-check"
INSTALL_S: Final = 600
CHECK_S: Final = 120


def check_contract(folder: Path, say: Callable[[str], None]) -> str:
    """Check the document in a folder that is kept over runs; return a line with versions.

    Raises AssertionError if it is wrong, or if a broken one passes; FileNotFoundError if node or npm is not here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _install(folder, say)
    document = asyncapi_of(contract_of(Settings(topic_prefix="shop.", kafka_bootstrap_servers="kafka:9092")))
    (folder / "asyncapi.json").write_text(json.dumps(document), encoding="utf-8")
    ran = _run(folder, ["node", "check.mjs", "asyncapi.json"], CHECK_S)
    assert ran.returncode == 0, f"the official parser refuses the document:\n{ran.stderr}"

    document["operations"]["sendPaidAndConfirmed"]["channel"]["$ref"] = "#/channels/Nowhere"
    (folder / "broken.json").write_text(json.dumps(document), encoding="utf-8")
    broken = _run(folder, ["node", "check.mjs", "broken.json"], CHECK_S)
    assert broken.returncode == 1, "a broken document passes, so this check shows nothing"
    assert "Nowhere" in broken.stderr

    node = _run(folder, ["node", "--version"], CHECK_S).stdout.strip()
    parser = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]["@asyncapi/parser"]
    return f"{ran.stdout.strip()} (@asyncapi/parser {parser}, node {node})"


def _install(folder: Path, say: Callable[[str], None]) -> None:
    """Fetch what the kit needs, unless the folder has it from an earlier run."""
    for name in ("package.json", "check.mjs"):
        shutil.copyfile(KIT / name, folder / name)
    wanted = (KIT / "package.json").read_text(encoding="utf-8")
    stamp = folder / ".installed"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    say("fetching AsyncAPI's parser by npm")
    fetched = _run(folder, ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit"], INSTALL_S)
    assert fetched.returncode == 0, f"npm install failed:\n{fetched.stderr}"
    stamp.write_text(wanted, encoding="utf-8")


def _run(folder: Path, command: Sequence[str], timeout_s: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
