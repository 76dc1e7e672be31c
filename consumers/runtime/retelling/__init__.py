"""Brings an order to where its events say that it stands, by the rules that decided about it the first time.

After a restore the topics have events of decisions that the database has lost. Each of them was made by a rule, of a
trigger, an answer or the time. The search finds inputs by which the same rules say the same events again, byte for
byte; so every column of the order is what it was, without a second set of rules.

What belongs here: what is told of an order, guesses of inputs, the search. Pure: no clock, no database, no call. Never
here: a rule that decides about an order.
"""

from consumers.runtime.retelling.search import Retold, retell
from consumers.runtime.retelling.story import Laws, Story
from consumers.runtime.retelling.tail import begin_consumed, look_up_first
from consumers.runtime.retelling.told import Told, Trigger

__all__ = ["Laws", "Retold", "Story", "Told", "Trigger", "begin_consumed", "look_up_first", "retell"]
