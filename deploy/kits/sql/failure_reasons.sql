-- Why payments failed: attempts by stage and code, how many orders that were, and how many of those were paid after all.
SELECT
    stage,
    failure_code,
    count(*) AS attempts,
    count(DISTINCT order_id) AS orders,
    count(DISTINCT order_id) FILTER (order_id IN (SELECT order_id FROM PaidAndConfirmed)) AS paid_after_all
FROM PaymentFailed
GROUP BY stage, failure_code
ORDER BY attempts DESC, stage, failure_code;
