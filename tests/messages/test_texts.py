"""The words of messages: ours in English, a shop's own, in other languages."""

from pathlib import Path
from typing import Any

import pytest

from consumers.adapters.notifier.texts import KINDS, OURS, Texts, UnusableTexts, Written
from domain.outcome import Missing
from schemas.fields import MoneyState, NotificationKind
from tests.messages.builders import notification


def written(texts: Texts, language: str | None = None, **overrides: Any) -> Written:
    found = texts.write(notification(**overrides), language)
    assert found is not None
    return found


def test_there_is_a_text_for_every_kind() -> None:
    needed = {kind.value.lower() for kind in NotificationKind} - {"unspecified"}
    assert needed <= KINDS
    assert {"cancelled", "cancellation_refused"} <= KINDS
    assert {path.stem for path in OURS.glob("*.html")} == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("money", list(MoneyState))
def test_every_text_of_ours_is_complete_whatever_is_known(kind: str, money: MoneyState) -> None:
    for bare in (True, False):
        more: dict[str, Any] = (
            {"text": "", "failure_code": None, "retryable": False, "retry_until": None} if bare else {}
        )
        found = written(Texts(), kind=kind.upper(), money=money.value, missing=(Missing("SKU-1", 3, 1),), **more)
        html = found.html
        assert html is not None
        assert "order-1" in found.subject
        assert "\n" not in found.subject
        for text in (found.text, html):
            assert "$" not in text
            assert "\n\n\n" not in text
            assert "<p></p>" not in text


def test_a_kind_without_a_text_is_told_by_nobody() -> None:
    assert Texts().write(notification(kind="UNSPECIFIED")) is None


def test_items_that_are_missing_are_named() -> None:
    missing = (Missing("SKU-<1>", 3, 1), Missing("SKU-2", 1, None))
    found = written(Texts(), kind="ITEMS_UNAVAILABLE", missing=missing)
    assert "SKU-<1>: 3 ordered, 1 available\nSKU-2: not available" in found.text
    assert "SKU-&lt;1&gt;: 3 ordered, 1 available<br>\nSKU-2: not available" in (found.html or "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "payment_failed.txt").write_text("Subject: Oh no, $order_id\n\n$reason\n$money\nCosts $$5.\n")
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "payment_failed.txt").write_text(
        "Subject: Zahlung für $order_id\n\n$reason\n$money\n$retry\n", encoding="utf-8"
    )
    (tmp_path / "de" / "payment_failed.html").write_text("<p>$reason</p>\n")
    (tmp_path / "de" / "phrases.toml").write_text(
        """[money]
NONE = "Nichts wurde abgebucht."
[reason]
card_expired = "Die Karte ist abgelaufen ($amount)."
[retry]
until = "Bis $retry_until geht es noch."
[time]
format = "%d.%m.%Y %H:%M"
zone = "Europe/Vienna"
""",
        encoding="utf-8",
    )
    return tmp_path


def test_a_shops_text_replaces_ours_and_the_rest_stays(folder: Path) -> None:
    texts = Texts(folder)
    assert written(texts) == Written(
        "Oh no, order-1",
        "This card has expired. Please try another payment method.\nYou have not been charged.\nCosts $5.\n",
        None,
        None,
    )
    assert written(texts, kind="REFUNDED").subject == "Your refund for order order-1"


@pytest.mark.parametrize("language", ["de", "de-AT", "DE", "de-AT-1996"])
def test_a_language_is_found_also_without_its_country(folder: Path, language: str) -> None:
    assert written(Texts(folder), language) == Written(
        "Zahlung für order-1",
        "Die Karte ist abgelaufen (30.80 EUR).\nNichts wurde abgebucht.\nBis 29.11.2026 13:00 geht es noch.\n",
        "<p>Die Karte ist abgelaufen (30.80 EUR).</p>\n",
        "de",
    )


@pytest.mark.parametrize("language", [None, "fr", "../..", "d" * 100, ""])
def test_an_unknown_language_gets_the_shops_own(folder: Path, language: str | None) -> None:
    assert written(Texts(folder), language).subject == "Oh no, order-1"


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("payment_failed.txt", "Subject: x\n\n$ordre_id\n", r"\$ordre_id is not known here"),
        ("payment_failed.txt", "Subject: x\n\n$ 5\n", "must stand before a name"),
        ("payment_failed.txt", "Hello\n\nworld\n", "begin with a line"),
        ("payment_failed.txt", "Subject: x\nworld\n", "begin with a line"),
        ("payment_failed.html", "<p>x</p>", "payment_failed.txt beside it"),
        ("payment_faild.txt", "Subject: x\n\ny\n", "no template has this name"),
        ("phrases.toml", "[money]\nNON = 'x'\n", "money.NON is no phrase"),
        ("phrases.toml", "[mony]\nNONE = 'x'\n", "none of its sections"),
        ("phrases.toml", "[money]\nNONE = '$order_id'\n", r"\$order_id is not known here"),
        ("phrases.toml", "[time]\nzone = 'Mars/Base'\n", "does not know the time zone"),
        ("phrases.toml", "[time]\nzone = '../x'\n", "is no time zone"),
        ("phrases.toml", "money = \n", "phrases.toml"),
        ("german/payment_failed.txt", "Subject: x\n\ny\n", "named by a language"),
    ],
)
def test_a_wrong_text_is_refused_when_it_is_read(tmp_path: Path, name: str, text: str, wrong: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(UnusableTexts, match=wrong):
        Texts(tmp_path)
