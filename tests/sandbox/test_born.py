"""What stands in every id of a sandbox has no digits that could be read as the number of a card."""

from pathlib import Path

from deploy.playbank.bank import Bank
from deploy.sandbox.journal import Memory


def test_what_stands_in_every_id_has_no_digits_and_is_kept(tmp_path: Path) -> None:
    # All digits in hexadecimal: 0x1234567890123.
    bank = Bank(lambda: 0x1234567890123 / 1e6, 1)
    with Memory(tmp_path / "journal", bank):
        born = bank.born
    assert len(born) == 13
    assert born.isalpha()
    again = Bank(lambda: 2_000_000_000.0, 1)
    with Memory(tmp_path / "journal", again):
        assert again.born == born
