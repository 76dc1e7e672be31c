"""How things are shown: tables, timelines, documents, made of what was read before.

What never belongs here: options of commands, a query, a decision.
"""
