"""limit: the same durable steps by hand, set-based. No ORM, no statement, offset or wake-up per message.

authorize  plan tx (orders, open operations) -> gateway -> settle tx (inbox, operations, orders, outbox)
reserve    one tx (inbox, stock, reservations, orders, outbox)
capture    plan tx -> gateway -> settle tx, and void the same way for ReservationFailed
after      one tx each: a failed order's hold is released (inbox, reservations, stock, outbox), a customer is told
           (inbox, notification); variant `reactions` only
relay      LISTEN or poll; select by id, produce, wait for acks=all, delete

Variants, joined by '+': avro (one record for all events, canonical check) or else JSON; reactions: everything that our
module does beyond the core: capture sells the hold, void emits PaymentVoided, a failure emits
CustomerNotificationRequested, and both are reacted to.

Inserts are COPY in binary, built with struct; a duplicate key makes COPY fail, then the batch takes the ON CONFLICT
path. Updates are one statement over unnest of hand-encoded binary arrays. While one batch waits for the gateway the
next is planned. Roles joined by '+' share one process and one thread: python -m tests.bench.peers.limit authorize+relay
"""
