"""What is kept to be sent: events and copies of dead letters, as rows of the journal.

What belongs here: the form of a row, its bounds, and what who writes rows and who sends them must agree on. Never here:
who writes the row, who sends it. The package imports none of its modules: a relay makes no row, so it loads no event.
"""
