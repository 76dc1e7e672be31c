-- How far orders came: how many were confirmed by checkout, and how many of those were ever authorized, reserved, paid.
-- An order that the pipeline refused (a dead letter) was confirmed and came no further.
WITH steps AS (
    SELECT 1 AS step, 'confirmed' AS stage, order_id FROM OrderConfirmed
    UNION ALL
    SELECT 2, 'authorized', order_id FROM PaymentAuthorized
    UNION ALL
    SELECT 3, 'reserved', order_id FROM ItemsReserved
    UNION ALL
    SELECT 4, 'paid', order_id FROM PaidAndConfirmed
),
counted AS (SELECT step, stage, count(DISTINCT order_id) AS orders FROM steps GROUP BY step, stage)
SELECT stage, orders, round(100.0 * orders / first_value(orders) OVER (ORDER BY step), 1)::DOUBLE AS percent
FROM counted
ORDER BY step;
