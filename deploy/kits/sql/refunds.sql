-- Refunds by what became of them, with sums in minor units. A refused request has no amount of its own.
-- on request: customer service or a cancel asked for it; by itself: money that no order wanted, or the gateway's dashboard.
SELECT outcome, currency, count(*) AS refunds, sum(amount_minor)::BIGINT AS amount_minor
FROM (
    SELECT
        CASE WHEN request_id IS NULL THEN 'refunded by itself' ELSE 'refunded on request' END AS outcome,
        currency,
        amount_minor
    FROM PaymentRefunded
    UNION ALL
    SELECT 'failed later: ' || reason, currency, amount_minor FROM PaymentRefundFailed
    UNION ALL
    SELECT 'refused: ' || reason, NULL, NULL FROM RefundRefused
)
GROUP BY outcome, currency
ORDER BY outcome, currency;
