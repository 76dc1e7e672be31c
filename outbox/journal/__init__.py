"""What is kept to be sent: events and copies of dead letters, as rows of the journal.

What belongs here: how large and of what form a row may be. Never here: a statement, who writes the row, who sends it.
"""

from outbox.journal.rows import ORIGIN, Journal, dead_letter_row, letter_id, letter_origin

__all__ = ["ORIGIN", "Journal", "dead_letter_row", "letter_id", "letter_origin"]
