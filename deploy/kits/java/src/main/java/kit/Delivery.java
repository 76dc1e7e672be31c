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
    static final String PAID = "PaidAndConfirmed";
    static final String FAILED = "PaymentFailed";

    private static final String RECEIVED = """
            insert into delivery.received (event_id, event_type) values (?::uuid, ?)
            on conflict (event_id) do update set deliveries = received.deliveries + 1
            returning deliveries""";
    private static final String DISPATCH = """
            insert into delivery.dispatch (event_id, order_id, amount_minor, currency, lines)
            values (?::uuid, ?, ?, ?, ?::jsonb)""";
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
            if (name.equals(PAID)) {
                dispatch(event);
            } else {
                noteFailure(event);
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

    /** Has the goods of a paid order sent. Orders that were paid with play money are not sent. */
    private void dispatch(GenericRecord event) throws SQLException {
        if (!(Boolean) event.get("livemode") && !playMoney) {
            return;
        }
        ArrayNode lines = mapper.createArrayNode();
        for (Object line : (List<?>) event.get("lines")) {
            GenericRecord item = (GenericRecord) line;
            lines.addObject().put("sku", text(item, "sku")).put("quantity", (Long) item.get("quantity"));
        }
        try (PreparedStatement statement = database.prepareStatement(DISPATCH)) {
            statement.setString(1, text(event, "event_id"));
            statement.setString(2, text(event, "order_id"));
            statement.setLong(3, (Long) event.get("amount_minor"));
            statement.setString(4, text(event, "currency"));
            statement.setString(5, lines.toString());
            statement.executeUpdate();
        }
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

    private static String text(GenericRecord record, String field) {
        return record.get(field).toString();
    }
}
