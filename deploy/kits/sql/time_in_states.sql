-- How long orders stayed in each state, in seconds: median, 95th percentile and maximum of the stays that have ended.
-- States begin with an event. Upstream events have the clock of who published them: a few milliseconds mean nothing.
WITH entered AS (
    SELECT order_id, occurred_at, 0 AS order_version, 0 AS ordinal, 'confirmed' AS state FROM OrderConfirmed
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'action_required' FROM CustomerActionRequired
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'payment_authorized' FROM PaymentAuthorized
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'items_reserved' FROM ItemsReserved
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'reservation_failed' FROM ReservationFailed
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'paid_and_confirmed' FROM PaidAndConfirmed
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'payment_failed' FROM PaymentFailed
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'cancelled' FROM OrderCancelled
    UNION ALL
    SELECT order_id, occurred_at, order_version, ordinal, 'manual_review' FROM PaymentReviewRequired
),
stays AS (
    SELECT
        state,
        date_diff('microsecond', occurred_at, lead(occurred_at) OVER later) / 1e6 AS seconds
    FROM entered
    WINDOW later AS (PARTITION BY order_id ORDER BY order_version, ordinal, occurred_at)
)
SELECT
    state,
    count(seconds) AS stays,
    quantile_cont(seconds, 0.5) AS median_s,
    quantile_cont(seconds, 0.95) AS p95_s,
    max(seconds) AS max_s
FROM stays
WHERE seconds IS NOT NULL
GROUP BY state
ORDER BY state;
