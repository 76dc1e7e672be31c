"""What is kept to be sent: events and copies of dead letters, as rows of the journal.

What belongs here: the form of a row, and its bounds. Never here: a statement, who writes the row, who sends it.
"""

from outbox.journal.rows import ORIGIN, RowEncoder, dead_letter_row, letter_id, letter_origin

__all__ = ["ORIGIN", "RowEncoder", "dead_letter_row", "letter_id", "letter_origin"]
