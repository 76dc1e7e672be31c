"""What commands read and record for a person: orders, dead letters, stock, messages to pass over.

What belongs here: what only `payments` commands need. Never here: what a consumer or the sweep runs.
"""
