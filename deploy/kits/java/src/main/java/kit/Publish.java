package kit;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.
 *
 * <p>A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was
 * confirmed. So a line that is published again is the same event, and has no effect. Prints where each event is stored.
 * Ends with an error if one was not stored: then publish the same lines again.
 */
public final class Publish {
    private static final String EVENT = "OrderConfirmed";
    private static final String SOURCE = "/checkout";
    private static final String TOPIC = Environment.or("TOPIC_PREFIX", "") + EVENT;
    private static final Map<String, Object> SETTINGS = Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, Environment.kafka(),
            ProducerConfig.ACKS_CONFIG, "all",
            ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true,
            ProducerConfig.COMPRESSION_TYPE_CONFIG, "none",
            ProducerConfig.LINGER_MS_CONFIG, 5,
            ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class,
            ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);

    private Publish() {}

    public static void main(String[] arguments) throws Exception {
        Contract contract = new Contract(Environment.schemas());
        ObjectMapper mapper = new ObjectMapper();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(SETTINGS)) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                if (!line.isBlank()) {
                    sent.add(producer.send(message(
                            contract, Json.record(contract.schema(EVENT), mapper.readTree(line)))));
                }
            }
            for (Future<RecordMetadata> one : sent) {
                RecordMetadata stored = one.get();
                System.out.printf("{\"at\": [%d, %d]}%n", stored.partition(), stored.offset());
            }
        }
    }

    /** Returns the message of an event. Its headers are CloudEvents 1.0 in Kafka's binary mode. */
    private static ProducerRecord<String, byte[]> message(Contract contract, GenericRecord event) throws IOException {
        String orderId = event.get("order_id").toString();
        ProducerRecord<String, byte[]> message = new ProducerRecord<>(TOPIC, orderId, contract.encode(event));
        header(message, "ce_specversion", "1.0");
        header(message, "ce_id", event.get("event_id").toString());
        header(message, "ce_source", SOURCE);
        header(message, "ce_type", EVENT);
        header(message, "ce_time", Instant.EPOCH.plus((Long) event.get("occurred_at"), ChronoUnit.MICROS).toString());
        header(message, "ce_subject", orderId);
        header(message, "content-type", "application/avro");
        return message;
    }

    private static void header(ProducerRecord<?, ?> message, String name, String value) {
        message.headers().add(name, value.getBytes(StandardCharsets.UTF_8));
    }
}
