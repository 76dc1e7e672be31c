"""Where settings come from: the environment, a .env file, files for secrets, an embedded run's folder."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from deploy.settings.errors import SettingsError
from deploy.settings.model import Settings
from deploy.settings.names import FILE_SUFFIX, PREFIX, SECRET_NAMES, is_foreign, refuse_unknown, setting_name
from deploy.settings.secrets import read_secret

STRIPE_PREFIX = "PAYMENTS_STRIPE_"


def _say_on_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")


def load_settings(
    environment: Mapping[str, str] | None = None,
    *,
    directory: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    ignore_stripe: bool = False,
    use_embedded: bool = True,
    say: Callable[[str], None] = _say_on_stderr,
) -> Settings:
    """Read all settings once, at start.

    The first of these that has a setting wins: overrides (by environment name; a command's own options), environment
    (default: the process's), `.env` in directory (default: the working directory). If none of them sets database or
    Kafka, and use_embedded is True, DIR/env of an embedded run (DIR = PAYMENTS_DATA) is read last, and say reports it.
    An empty value counts as not set. ignore_stripe: leave out every PAYMENTS_STRIPE_ name, for demo, bench and tests.
    Raises SettingsError: one line that says what to do, without any secret.
    """
    directory = directory or Path.cwd()
    process = os.environ if environment is None else environment  # noqa: TID251 - the only reader
    given = {**_ours(_read_env_file(directory / ".env")), **_ours(process)}
    if ignore_stripe:
        given = {name: value for name, value in given.items() if not name.startswith(STRIPE_PREFIX)}
    refuse_unknown(given, Settings.model_fields)
    given, files = _with_secret_files(given)
    given.update(overrides or {})
    if use_embedded and not given.keys() & {"PAYMENTS_DATABASE_URL", "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"}:
        given = _with_embedded(given, directory, say)
    settings = _validate(given)
    settings.note_secret_files({name: path for name, path in files.items() if name not in (overrides or {})})
    return settings


def _ours(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values of our prefix that are not empty and not another program's."""
    return {
        name: value
        for name, value in values.items()
        if value and name.startswith(PREFIX) and not is_foreign(name, value)
    }


def _read_env_file(path: Path) -> dict[str, str]:
    try:
        text = path.is_file() and path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}; make it a readable UTF-8 file") from None
    if not text:
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - most deployments have no such file

    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def _with_secret_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Path]]:
    """Replace <NAME>_FILE by <NAME> with the file's content, without its last line end. Return also the files."""
    values = dict(given)
    files: dict[str, Path] = {}
    for name in SECRET_NAMES:
        file = values.pop(name + FILE_SUFFIX, None)
        if file is None:
            continue
        if name in values:
            raise SettingsError(f"{name} and {name}{FILE_SUFFIX} are both set; unset one")
        try:
            values[name] = read_secret(Path(file))
        except OSError as error:
            raise SettingsError(
                f"{name}{FILE_SUFFIX}: cannot read {file} ({error.strerror}); name a file that holds it"
            ) from None
        files[name] = Path(file)
    return values, files


def _with_embedded(given: Mapping[str, str], directory: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Add the settings of an embedded run, if there is one here. Settings that were given win."""
    path = directory / given.get("PAYMENTS_DATA", ".payments") / "env"
    written = _ours(_read_env_file(path))
    if not written:
        return dict(given)
    if given.get("PAYMENTS_GATEWAY", "sandbox") != "sandbox":
        # Another gateway is chosen: the sandbox's address is not for it.
        written = {name: value for name, value in written.items() if not name.startswith(STRIPE_PREFIX)}
    if given.get("PAYMENTS_INVENTORY", "http") != "http":
        written.pop("PAYMENTS_INVENTORY_URL", None)
    refuse_unknown(written, Settings.model_fields)
    say(f"using the embedded servers of {path}")
    return {**written, **given}


def _validate(given: Mapping[str, str]) -> Settings:
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    try:
        return Settings.model_validate(fields)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(error))) from None


def _explain(error: ValidationError) -> list[str]:
    """Say what is wrong with each setting. Values are left out: any of them may be a secret."""
    lines = []
    for problem in error.errors(include_url=False, include_context=True, include_input=False):
        field = problem["loc"][0] if problem["loc"] else None
        if field is None:
            lines.append(str(problem["ctx"]["error"]))
        else:
            message = problem["msg"]
            wants = f" must be {message.removeprefix('Input should be ')}" if "should be" in message else f": {message}"
            lines.append(setting_name(str(field)) + wants)
    return lines
