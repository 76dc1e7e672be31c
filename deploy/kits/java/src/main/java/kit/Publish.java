package kit;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
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
 * Ends with an error if one was not stored: then publish the same lines again. A line that is no such event ends it with
 * 2 before any is published.
 */
public final class Publish {
    private static final String EVENT = "OrderConfirmed";
    private static final String SOURCE = "/checkout";
    private static final int WRONG_LINE = 2;
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
        List<ProducerRecord<String, byte[]>> messages = read(new Contract(Environment.schemas()));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(SETTINGS)) {
            for (ProducerRecord<String, byte[]> message : messages) {
                sent.add(producer.send(message));
            }
            for (Future<RecordMetadata> one : sent) {
                RecordMetadata stored = one.get();
                System.out.printf("{\"at\": [%d, %d]}%n", stored.partition(), stored.offset());
            }
        }
    }

    /** Returns the messages of all lines, or says which line is no event and ends the program. */
    private static List<ProducerRecord<String, byte[]>> read(Contract contract) throws IOException {
        ObjectMapper mapper = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<ProducerRecord<String, byte[]>> messages = new ArrayList<>();
        int number = 0;
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            try {
                messages.add(message(contract, Json.record(contract.schema(EVENT), mapper.readTree(line))));
            } catch (JsonProcessingException wrong) {
                // Its message would show what is in the line.
                end(number, "not JSON");
            } catch (IOException | RuntimeException wrong) {
                end(number, String.valueOf(wrong.getMessage()).lines().findFirst().orElse("no reason given"));
            }
        }
        return messages;
    }

    private static void end(int number, String why) {
        System.err.printf(
                "line %d is no %s (%s): mend it and publish all lines again; none was published%n", number, EVENT, why);
        System.exit(WRONG_LINE);
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
