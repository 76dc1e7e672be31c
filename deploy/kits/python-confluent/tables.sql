-- The subscriber's tables. They are in its own database; payments never sees them.
create schema if not exists delivery;

create table if not exists delivery.received (
    event_id   uuid primary key,
    event_type text not null,
    first_at   timestamptz not null default now(),
    deliveries bigint not null default 1
);
comment on table delivery.received is 'Events that were received. A row is written in the transaction of the effect.';
comment on column delivery.received.deliveries is 'How often Kafka delivered the event. Only the first one had an effect.';

-- No unique event_id or order_id here: delivery.received alone keeps an effect from happening twice.
create table if not exists delivery.dispatch (
    id           bigint generated always as identity primary key,
    event_id     uuid not null,
    order_id     text not null,
    amount_minor bigint not null,
    currency     text not null,
    lines        jsonb not null,
    state        text not null check (state in ('to_send', 'sent', 'cancelled', 'recall'))
);
create index if not exists dispatch_by_order on delivery.dispatch (order_id);
comment on table delivery.dispatch is 'The effect of PaidAndConfirmed: goods to send.';
comment on column delivery.dispatch.state is
    'to_send: hand them over. sent: you did. cancelled: OrderCancelled came before that, never send them. recall: it came after that, get them back.';
comment on column delivery.dispatch.amount_minor is 'What the customer paid, in the minor unit of currency.';
comment on column delivery.dispatch.lines is 'A list of {"sku", "quantity"}; quantities are whole units.';

create table if not exists delivery.failure (
    id           bigint generated always as identity primary key,
    event_id     uuid not null,
    order_id     text not null,
    stage        text not null,
    failure_code text not null,
    retryable    boolean not null
);
comment on table delivery.failure is 'The effect of PaymentFailed: the order is not to be sent.';
comment on column delivery.failure.retryable is 'True: the customer may pay with another method, and PaidAndConfirmed may follow.';

create table if not exists delivery.cancel (
    id         bigint generated always as identity primary key,
    event_id   uuid not null,
    order_id   text not null,
    request_id text not null
);
create index if not exists cancel_by_order on delivery.cancel (order_id);
comment on table delivery.cancel is 'The effect of OrderCancelled: no goods of this order may be sent, whether or not it is paid.';
comment on column delivery.cancel.request_id is 'The cancel that storefront or customer service asked for.';
