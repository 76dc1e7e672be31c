"""The pages: every link works, nothing comes from elsewhere, and each reader finds what the code's tables have."""

import json
import re
from collections import Counter
from functools import cache, cached_property
from html.parser import HTMLParser
from posixpath import join as join_path
from posixpath import normpath
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.contract_pages.examples import AT
from deploy.contract_pages.facts import Contract, contract_of
from deploy.contract_pages.html import Html, join, tag, text_with_code
from deploy.contract_pages.numbers import duration
from deploy.contract_pages.reader import Reader, Theme
from deploy.contract_pages.readers import READERS
from deploy.contract_pages.rights import rights_of
from deploy.contract_pages.writing import all_files
from deploy.settings import Settings
from domain.cancel_refusals import SENTENCES
from domain.failure_codes import MEANINGS
from domain.opening import RETRY_REFUSALS
from schemas.envelope import headers_of
from schemas.releases import COMING
from schemas.shapes import SHAPES

VOID = {"meta", "link", "br"}
PREFIX = "shop."


class Page(HTMLParser):
    """What a page links to, what can be linked to, its text, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.names: Counter[str] = Counter()
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.names[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name in ("href", "src") if (value := named.get(name)) is not None]
        if named.get("id") is not None:
            self.ids.append(named["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @cached_property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@cache
def contract() -> Contract:
    return contract_of(Settings(topic_prefix=PREFIX))


@cache
def files() -> dict[str, bytes]:
    return all_files(contract())


@cache
def document() -> Any:
    return json.loads(files()["contract.json"])


@cache
def pages() -> dict[str, Page]:
    return {name: Page(content.decode()) for name, content in files().items() if name.endswith(".html")}


def page_of(reader: Reader) -> Page:
    return pages()[f"{reader.slug}.html"]


def test_there_is_a_page_for_each_reader_and_an_index_that_leads_to_all() -> None:
    asked_for = {"checkout", "storefront", "delivery", "order-preparation", "warehouse", "accounting", "analytics"}
    assert asked_for <= {reader.slug for reader in READERS}
    assert pages().keys() == {"index.html"} | {f"{reader.slug}.html" for reader in READERS}
    assert {f"{reader.slug}.html" for reader in READERS} <= set(pages()["index.html"].links)


@pytest.mark.parametrize("name", ["index.html", *(f"{reader.slug}.html" for reader in READERS)])
def test_every_link_of_a_page_leads_somewhere_and_nothing_is_loaded_from_elsewhere(name: str) -> None:
    page = pages()[name]
    assert page.links, "there are links to check"
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme == "data":
            continue
        assert (parts.scheme, parts.netloc) == ("", ""), f"{link} leads out of the folder"
        target = normpath(join_path("", parts.path)) if parts.path else name
        assert target in files(), f"{name} links to {link}, which is not there"
        if parts.fragment:
            assert parts.fragment in pages()[target].ids, f"{name} links to {link}, where nothing has that id"
    assert [each for each, count in Counter(page.ids).items() if count > 1] == []
    assert not page.names.keys() & {"script", "img", "iframe", "object", "embed"}
    assert "url(" not in files()[name].decode()
    assert "@import" not in files()[name].decode()


def test_the_link_checker_sees_a_broken_link() -> None:
    page = Page('<html><body><a href="nowhere.html#x">x</a><p id="y"></p></body></html>')
    assert (page.links, page.ids) == (["nowhere.html#x"], ["y"])
    with pytest.raises(AssertionError):
        Page("<p><b></p>")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.slug)
def test_a_reader_finds_fields_fingerprints_examples_headers_and_rights(reader: Reader) -> None:
    page = page_of(reader)
    for event_type in (*reader.publishes, *reader.reads):
        event = contract().events[event_type]
        assert event_type in page.ids
        assert event.topic in page.text
        assert SHAPES[event_type].fingerprint.hex() in page.text
        assert event.example.single_object.hex() in page.text
        assert event.example.registry.hex() in page.text
        assert str(event.example.form["event_id"]) in page.text
        assert all(field.doc in page.text for field in event.fields)
    example = contract().events[(reader.publishes or reader.reads)[0]].example
    assert example.headers.keys() == {name for name, _ in headers_of("", "", AT, b"")}
    assert all(name in page.text for name in example.headers)
    assert f"in partition {example.partition} of 12" in page.text
    assert all(right.name in page.text for right in rights_of(reader, PREFIX))
    assert all(number.text in page.text for number in (contract().numbers[field] for field in reader.settings))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.slug)
def test_a_publisher_finds_every_reason_to_be_refused_and_others_hear_that_none_concerns_them(reader: Reader) -> None:
    page = page_of(reader)
    if not reader.publishes:
        assert "None concern you" in page.text
        return
    for event_type in reader.publishes:
        event = contract().events[event_type]
        assert event.dead_letters is not None
        assert event.dead_letters in page.text
        assert all(reason in page.text for reason in event.refusals)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.slug)
def test_a_page_names_the_dead_letter_topics_of_its_reader_and_no_other(reader: Reader) -> None:
    own = {f"{PREFIX}{event_type}.dlt" for event_type in reader.dead_letters}
    assert set(re.findall(r"[\w.-]+\.dlt", "\n".join(page_of(reader).words))) == own
    assert ("None concern you" in page_of(reader).text) == (not own)
    assert set(document()["readers"][reader.slug]["dead_letters"]) == own


def test_checkout_and_storefront_find_every_code_that_a_customer_may_see() -> None:
    for reader in READERS:
        text = page_of(reader).text
        if Theme.FAILURE_CODES in reader.themes:
            assert all(code in text and meaning.reason in text for code, meaning in MEANINGS.items())
        if Theme.RETRY_REFUSALS in reader.themes:
            assert all(code in text and sentence in text for code, sentence in RETRY_REFUSALS.items())
        if Theme.CANCEL_REFUSALS in reader.themes:
            assert all(reason in text and sentence in text for reason, sentence in SENTENCES.items())
    by_slug = {reader.slug: reader for reader in READERS}
    assert {Theme.FAILURE_CODES, Theme.RETRY_REFUSALS, Theme.CANCEL_REFUSALS} <= set(by_slug["storefront"].themes)
    assert Theme.FAILURE_CODES in by_slug["checkout"].themes


def test_whoever_reads_an_event_with_livemode_is_told_what_it_means() -> None:
    told = {
        event_type for event_type, event in contract().events.items() if "livemode" in {f.path for f in event.fields}
    }
    assert told == {"PaymentAuthorized", "PaidAndConfirmed"}
    for reader in READERS:
        if told & set(reader.reads):
            assert Theme.LIVEMODE in reader.themes
            assert "play money" in page_of(reader).text


def test_pages_say_the_settings_of_the_deployment() -> None:
    longer = contract_of(Settings(cancel_window_s=7_200, topic_prefix="other.", topic_partitions=3))
    page = Page(all_files(longer)["delivery.html"].decode())
    assert "2 hours (7,200 s)" in page.text
    assert "other.PaidAndConfirmed" in page.text
    assert "of 3." in page.text
    assert PREFIX not in page.text


def test_every_page_and_document_names_the_version_of_this_code() -> None:
    assert all(f"Release {COMING}, made by" in page.text for page in pages().values())
    assert document()["release"] == json.loads(files()["asyncapi.json"])["info"]["version"] == COMING
    new = next(event_type for event_type, event in contract().events.items() if event.released is None)
    assert f"{new}.avsc, new in {COMING}" in pages()["analytics.html"].text


def test_the_same_release_and_settings_give_the_same_bytes() -> None:
    assert all_files(contract_of(Settings(topic_prefix=PREFIX))) == files()


def test_pages_are_fit_for_phones_and_for_dark_and_light() -> None:
    for name in pages():
        text = files()[name].decode()
        assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
        assert "prefers-color-scheme: dark" in text
        assert 'lang="en"' in text


def test_text_is_escaped_and_only_markup_of_ours_is_not() -> None:
    assert tag("p", '<b>&"', title='"<') == '<p title="&quot;&lt;">&lt;b&gt;&amp;&quot;</p>'
    assert join("<", None, Html("<br>")) == "&lt;<br>"
    assert text_with_code("a `<b>` c") == "a <code>&lt;b&gt;</code> c"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 s"),
        (90, "90 s"),
        (60, "1 minute (60 s)"),
        (900, "15 minutes (900 s)"),
        (82_800, "23 hours (82,800 s)"),
        (604_800, "7 days (604,800 s)"),
        (0.5, "0.5 s"),
    ],
)
def test_durations_are_said_in_their_largest_whole_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_no_sentence_of_a_page_has_a_mark_left_over() -> None:
    for name, page in pages().items():
        assert "`" not in page.text, name
        assert not re.search(r"\bNone\b(?! concern)", page.text), name
