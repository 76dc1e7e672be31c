package kit;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;
import org.apache.avro.generic.GenericRecord;

/** Has the effect of each event once: the event's id and the effect are stored in one transaction. */
final class Delivery {
    private static final String PAID = "PaidAndConfirmed";
    private static final String CANCELLED = "OrderCancelled";
    private static final String FAILED = "PaymentFailed";
    static final List<String> EVENTS = List.of(PAID, CANCELLED, FAILED);

    private static final String RECEIVED = """
            insert into delivery.received (event_id, event_type) values (?::uuid, ?)
            on conflict (event_id) do update set deliveries = received.deliveries + 1
            returning deliveries""";
    /** PaidAndConfirmed and OrderCancelled of an order are on two topics: two processes may have them at the same moment. */
    private static final String LOCK = "select pg_advisory_xact_lock(hashtextextended(?, 0))";

    private static final String DISPATCH = """
            insert into delivery.dispatch (event_id, order_id, amount_minor, currency, lines, state)
            values (?::uuid, ?, ?, ?, ?::jsonb,
                    case when exists (select from delivery.cancel where order_id = ?) then 'cancelled' else 'to_send' end)""";
    private static final String CANCEL = """
            insert into delivery.cancel (event_id, order_id, request_id) values (?::uuid, ?, ?)""";
    private static final String STOP = """
            update delivery.dispatch set state = case state when 'sent' then 'recall' else 'cancelled' end
            where order_id = ? and state in ('to_send', 'sent')""";
    private static final String FAILURE = """
            insert into delivery.failure (event_id, order_id, stage, failure_code, retryable)
            values (?::uuid, ?, ?, ?, ?)""";

    private final Connection database;
    private final boolean playMoney;
    private final ObjectMapper mapper = new ObjectMapper();

    Delivery(Connection database, boolean playMoney) throws SQLException {
        this.database = database;
        this.playMoney = playMoney;
        database.setAutoCommit(false);
    }

    /**
     * Stores the event's id and its effect. An id that is there already has no effect. Another process that has the same
     * event at this moment waits for the row of its id.
     */
    void receive(String name, GenericRecord event) throws SQLException {
        if (isNew(name, event)) {
            switch (name) {
                case PAID -> dispatch(event);
                case CANCELLED -> cancel(event);
                case FAILED -> noteFailure(event);
                default -> throw new IllegalArgumentException("no effect of " + name);
            }
        }
        database.commit();
    }

    private boolean isNew(String name, GenericRecord event) throws SQLException {
        try (PreparedStatement statement = database.prepareStatement(RECEIVED)) {
            statement.setString(1, text(event, "event_id"));
            statement.setString(2, name);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getLong(1) == 1;
            }
        }
    }

    /** Has the goods of a paid order sent, unless it is cancelled already. Orders paid with play money are not sent. */
    private void dispatch(GenericRecord event) throws SQLException {
        if (!(Boolean) event.get("livemode") && !playMoney) {
            return;
        }
        ArrayNode lines = mapper.createArrayNode();
        for (Object line : (List<?>) event.get("lines")) {
            GenericRecord item = (GenericRecord) line;
            lines.addObject().put("sku", text(item, "sku")).put("quantity", (Long) item.get("quantity"));
        }
        String orderId = text(event, "order_id");
        run(LOCK, orderId);
        try (PreparedStatement statement = database.prepareStatement(DISPATCH)) {
            statement.setString(1, text(event, "event_id"));
            statement.setString(2, orderId);
            statement.setLong(3, (Long) event.get("amount_minor"));
            statement.setString(4, text(event, "currency"));
            statement.setString(5, lines.toString());
            statement.setString(6, orderId);
            statement.executeUpdate();
        }
    }

    /** Stops the goods of a cancelled order. Those that were handed over are to be called back. */
    private void cancel(GenericRecord event) throws SQLException {
        String orderId = text(event, "order_id");
        run(LOCK, orderId);
        run(CANCEL, text(event, "event_id"), orderId, text(event, "request_id"));
        run(STOP, orderId);
    }

    /** Notes that an order is not paid. */
    private void noteFailure(GenericRecord event) throws SQLException {
        try (PreparedStatement statement = database.prepareStatement(FAILURE)) {
            statement.setString(1, text(event, "event_id"));
            statement.setString(2, text(event, "order_id"));
            statement.setString(3, text(event, "stage"));
            statement.setString(4, text(event, "failure_code"));
            statement.setBoolean(5, (Boolean) event.get("retryable"));
            statement.executeUpdate();
        }
    }

    private void run(String sql, String... values) throws SQLException {
        try (PreparedStatement statement = database.prepareStatement(sql)) {
            for (int index = 0; index < values.length; index++) {
                statement.setString(index + 1, values[index]);
            }
            statement.execute();
        }
    }

    private static String text(GenericRecord record, String field) {
        return record.get(field).toString();
    }
}
