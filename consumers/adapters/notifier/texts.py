"""The words of a message: templates of ours, or the shop's own, by kind and language.

A template is `<kind>.txt`, such as `payment_failed.txt`: a line `Subject: ...`, an empty line, the text. `<kind>.html`
beside it is the same as HTML; without it the mail has plain text only. `$order_id` and the other NAMES stand for what
is known of the message, `$$` for a dollar sign. A line whose names are all empty is left out. `phrases.toml` has the
sentences that depend on a code. A sub-folder named by a language (`de`, `de-AT`) has the texts of that language.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from domain.decision import Notification
from domain.outcome import Missing
from schemas.fields import MoneyState
from schemas.money import Money

OURS: Final = Path(__file__).parent / "templates"
PHRASES: Final = "phrases.toml"
NAMES: Final = frozenset({"order_id", "amount", "reason", "money", "retry", "retry_until", "missing", "failure_code"})
"""What a template may name."""
KINDS: Final = frozenset(path.stem for path in OURS.glob("*.txt"))
SUBJECT: Final = "Subject: "
SUBJECT_LENGTH_MAX: Final = 200
TEMPLATE_BYTES_MAX: Final = 256 * 1024
OF_PHRASE: Final = {
    "money": frozenset({"amount"}),
    "retry": frozenset({"retry_until"}),
    "missing": frozenset({"sku", "requested", "available"}),
    "reason": frozenset({"amount"}),
}
"""Names that the phrases of a section may have. The section `time` has none."""
KEYS: Final = {
    "money": frozenset(MoneyState) - {MoneyState.UNSPECIFIED},
    "retry": frozenset({"until", "open"}),
    "missing": frozenset({"some", "none"}),
    "time": frozenset({"format", "zone"}),
}
"""The phrases of a section. Those of `reason` are failure codes; a newer release may have more."""
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}", re.IGNORECASE)
_BLANKS: Final = re.compile(r"\n{3,}")


class UnusableTexts(ValueError):  # noqa: N818 - as domain.errors
    """A template or phrase cannot be used. The text names the file, and what to change."""


class Written(NamedTuple):
    """The words of one message. subject: one line. html: None if there is no template for it."""

    subject: str
    text: str
    html: str | None
    language: str | None


class _Text(NamedTuple):
    """The templates of one kind."""

    subject: Template
    text: Template
    html: Template | None


class _Place(NamedTuple):
    """A folder's texts by kind, and its phrases, completed by those of the folder above."""

    texts: Mapping[str, _Text]
    phrases: Mapping[str, Mapping[str, str]]


class Texts:
    """All texts. They are read once, and checked: a message never fails for its template."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: the shop's own; what it has not is ours. Raises UnusableTexts."""
        ours = _read(OURS, {})
        self._places: dict[str | None, _Place] = {None: ours}
        if folder is None:
            return
        if not folder.is_dir():
            raise UnusableTexts(f"{folder} is no folder")
        shop = _read(folder, ours.phrases)
        self._places[""] = shop
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.name.startswith("."):
                if not _LANGUAGE.fullmatch(inner.name):
                    raise UnusableTexts(f"{inner}: a folder here is named by a language, as de or de-AT")
                self._places[inner.name.lower()] = _read(inner, shop.phrases)

    def write(self, notification: Notification, language: str | None = None) -> Written | None:
        """Write a message in this language, or else in the shop's own; None if there is no text for its kind."""
        kind = notification.kind.lower()
        for name in _names(language):
            place = self._places.get(name)
            text = place.texts.get(kind) if place is not None else None
            if place is not None and text is not None:
                words = _words(notification, place.phrases)
                plain = _fill(text.text, words)
                marked = {name: escape(word).replace("\n", "<br>\n") for name, word in words.items()}
                html = None if text.html is None else _fill(text.html, marked)
                subject = _one_line(text.subject.substitute(words))
                return Written(subject, plain, html, _language_of(name))
        return None


def _names(language: str | None) -> Iterator[str | None]:
    """Return the places to look at: the language with its country, the language, the shop's own, ours."""
    if language and _LANGUAGE.fullmatch(language):
        parts = language.lower().split("-")
        yield from ("-".join(parts[:n]) for n in range(len(parts), 0, -1))
    yield ""
    yield None


def _language_of(name: str | None) -> str | None:
    return "en" if name is None else name or None


def _words(n: Notification, phrases: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what each name stands for; empty if there is nothing to say."""
    amount = str(Money(n.amount_minor, n.currency))
    until = ""
    if n.retry_until is not None:
        until = n.retry_until.astimezone(ZoneInfo(phrases["time"]["zone"])).strftime(phrases["time"]["format"])
    retry = "" if not n.retryable else phrases["retry"]["until" if until else "open"]
    reason = phrases["reason"].get(n.failure_code or "")
    return {
        "order_id": n.order_id,
        "amount": amount,
        "reason": n.text if reason is None else Template(reason).substitute(amount=amount),
        "money": Template(phrases["money"].get(n.money, "")).substitute(amount=amount),
        "retry": Template(retry).substitute(retry_until=until),
        "retry_until": until,
        "missing": "\n".join(_missing(item, phrases["missing"]) for item in n.missing),
        "failure_code": n.failure_code or "",
    }


def _missing(item: Missing, phrases: Mapping[str, str]) -> str:
    template = phrases["some" if item.available else "none"]
    return Template(template).substitute(sku=item.sku, requested=item.requested, available=item.available or 0)


def _fill(template: Template, words: Mapping[str, str]) -> str:
    """Fill in a template line by line; leave out lines whose names are all empty."""
    lines = []
    for line in template.template.split("\n"):
        part = Template(line)
        names = part.get_identifiers()
        if not names or any(words[name] for name in names):
            lines.append(part.substitute(words))
    return _BLANKS.sub("\n\n", "\n".join(lines)).strip() + "\n"


def _one_line(text: str) -> str:
    """Return a subject: one line without control characters, not too long."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())[:SUBJECT_LENGTH_MAX]


def _read(folder: Path, above: Mapping[str, Mapping[str, str]]) -> _Place:
    """Read the templates and phrases of a folder, without those inside it."""
    texts = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.name.startswith(".") or path.name in {PHRASES, "README.md"}:
            continue
        if path.suffix not in {".txt", ".html"} or path.stem not in KINDS:
            wanted = ", ".join(sorted(KINDS))
            raise UnusableTexts(f"{path}: no template has this name; there are .txt and .html of {wanted}")
        if path.suffix == ".txt":
            texts[path.stem] = _text(path)
        elif not path.with_suffix(".txt").is_file():
            raise UnusableTexts(f"{path}: write {path.stem}.txt beside it, for it has the subject and the plain text")
    return _Place(texts, _phrases(folder / PHRASES, above))


def _text(path: Path) -> _Text:
    head, _, body = _file(path).partition("\n")
    if not head.startswith(SUBJECT) or not body.startswith("\n") or not body.strip():
        raise UnusableTexts(f"{path}: begin with a line `{SUBJECT}...`, an empty line, and the text")
    html = path.with_suffix(".html")
    return _Text(
        _template(path, head.removeprefix(SUBJECT), NAMES),
        _template(path, body.removeprefix("\n"), NAMES),
        _template(html, _file(html), NAMES) if html.is_file() else None,
    )


def _phrases(path: Path, above: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Read the phrases of a folder over those of the folder above."""
    try:
        given: dict[str, Any] = tomllib.loads(_file(path)) if path.is_file() else {}
    except tomllib.TOMLDecodeError as error:
        raise UnusableTexts(f"{path}: {error}") from None
    merged = {section: dict(phrases) for section, phrases in above.items()}
    for section, phrases in given.items():
        if section not in {*OF_PHRASE, "time"} or not isinstance(phrases, dict):
            raise UnusableTexts(f"{path}: [{section}] is none of its sections money, retry, missing, reason, time")
        for key, phrase in phrases.items():
            if key not in KEYS.get(section, {key}) or not isinstance(phrase, str):
                raise UnusableTexts(f"{path}: {section}.{key} is no phrase; the texts' own folder shows all")
            _template(path, phrase, OF_PHRASE.get(section, frozenset()))
        merged.setdefault(section, {}).update(phrases)
    try:
        ZoneInfo(merged["time"]["zone"])
    except (ValueError, OSError):  # KeyError's child ZoneInfoNotFoundError is below
        raise UnusableTexts(f"{path}: time.zone is no time zone, such as Europe/Berlin") from None
    except KeyError:
        raise UnusableTexts(f"{path}: this machine does not know the time zone {merged['time']['zone']}") from None
    return merged


def _template(path: Path, text: str, names: frozenset[str]) -> Template:
    """Check a template."""
    template = Template(text)
    if not template.is_valid():
        raise UnusableTexts(f"{path}: a $ must stand before a name; write $$ for a dollar sign")
    unknown = [name for name in template.get_identifiers() if name not in names]
    if unknown:
        known = ", ".join(f"${name}" for name in sorted(names)) or "no names"
        raise UnusableTexts(f"{path}: ${unknown[0]} is not known here; there are {known}")
    return template


def _file(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > TEMPLATE_BYTES_MAX:
            raise UnusableTexts(f"{path}: it has more than {TEMPLATE_BYTES_MAX} bytes")
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UnusableTexts(f"{path}: cannot be read ({why})") from None
