"""How connections are secured: certificates and secrets read anew, tokens, and why a broker refuses us.

What belongs here: what every client needs, whichever library makes its connections. What never will: settings, or
anything about payments. Nothing is imported here, so that settings load no client library.
"""
