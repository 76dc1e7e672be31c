"""How things are shown: tables, timelines, JSON documents. The caller has read the data.

What never belongs here: options of commands, a query, a decision.
"""
