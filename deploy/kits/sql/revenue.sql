-- Revenue by day and currency, in minor units: what paid orders brought, less what was given back of them.
-- A refund counts on the day it was made, one that failed later comes back on the day of its failure.
-- Refunds of orders that were never paid and confirmed are not here: see refunds.sql. Lost disputes: see disputes.sql.
WITH moves AS (
    SELECT day, currency, 1 AS orders, amount_minor AS paid_minor, 0 AS refunded_minor FROM PaidAndConfirmed
    UNION ALL
    SELECT day, currency, 0, 0, amount_minor FROM PaymentRefunded SEMI JOIN PaidAndConfirmed USING (order_id)
    UNION ALL
    SELECT day, currency, 0, 0, -amount_minor FROM PaymentRefundFailed SEMI JOIN PaidAndConfirmed USING (order_id)
)
SELECT
    day,
    currency,
    sum(orders)::BIGINT AS orders,
    sum(paid_minor)::BIGINT AS paid_minor,
    sum(refunded_minor)::BIGINT AS refunded_minor,
    sum(paid_minor - refunded_minor)::BIGINT AS net_minor
FROM moves
GROUP BY day, currency
ORDER BY day, currency;
