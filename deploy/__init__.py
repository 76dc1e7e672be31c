"""What makes a running product of the packages: settings, composition root, commands, embedded servers, sandbox.

Only here are the environment and the clock read. What never belongs here: a rule of payment.
"""
