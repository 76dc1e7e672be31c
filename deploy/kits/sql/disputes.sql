-- Disputes by where they stand, with sums in minor units. A dispute is told again when money is withdrawn or it reopens,
-- so only the last word on each counts.
WITH told AS (
    SELECT dispute_id, order_version, ordinal, currency, amount_minor, funds_withdrawn, 'OPEN' AS state
    FROM PaymentDisputed
    UNION ALL
    SELECT dispute_id, order_version, ordinal, currency, amount_minor, funds_withdrawn, outcome FROM PaymentDisputeClosed
),
last_word AS (
    SELECT * FROM told
    QUALIFY row_number() OVER (PARTITION BY dispute_id ORDER BY order_version DESC, ordinal DESC) = 1
)
SELECT
    state,
    currency,
    count(*) AS disputes,
    sum(amount_minor)::BIGINT AS amount_minor,
    coalesce(sum(amount_minor) FILTER (funds_withdrawn), 0)::BIGINT AS withdrawn_minor
FROM last_word
GROUP BY state, currency
ORDER BY state, currency;
