"""Our Stripe adapter and our gateway sandbox, judged by what others wrote: stripe-mock, its specification, localstripe.

`make conformance` runs it. Everything here starts processes of its own on loopback; nothing reaches Stripe.
"""
