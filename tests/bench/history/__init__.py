"""A database with the histories of very many orders, and what the operators' commands cost on it.

What belongs here: making such a database, and measuring commands on it. What never will: a rule of payment.
"""
