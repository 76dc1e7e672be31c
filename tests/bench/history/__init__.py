"""A database with the histories of very many orders: what operators' commands cost on it, and what a new order costs.

What belongs here: making such a database, and measuring on it. What never will: a rule of payment.
"""
