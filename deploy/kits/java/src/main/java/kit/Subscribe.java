package kit;

import java.net.URI;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Subscribes to PaidAndConfirmed, OrderCancelled and PaymentFailed, with effect once. Runs until SIGTERM.
 *
 * <p>Any error ends the process; its supervisor starts it again. Nothing is lost by that, because offsets are committed
 * after effects. What comes again is known by its event id.
 */
public final class Subscribe {
    // Read before the shutdown hook is there: the hook waits for main, and would wait for ever if main ended the JVM.
    private static final URI DATABASE = Environment.database();
    private static final Path SCHEMAS = Environment.schemas();
    private static final String PREFIX = Environment.or("TOPIC_PREFIX", "");
    private static final int SESSION_TIMEOUT_MS = Environment.milliseconds("SESSION_TIMEOUT_MS", 10_000);
    private static final long COMMIT_INTERVAL_MS = Environment.milliseconds("COMMIT_INTERVAL_MS", 1_000);
    private static final Map<String, Object> SETTINGS = Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Environment.kafka(),
            ConsumerConfig.GROUP_ID_CONFIG, Environment.or("GROUP_ID", "delivery.dispatch"),
            ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
            ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
            ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 200,
            ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, SESSION_TIMEOUT_MS,
            ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, SESSION_TIMEOUT_MS / 5,
            ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class,
            ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
    private static final Duration WAIT = Duration.ofMillis(200);

    private static volatile boolean stopping;
    private static volatile boolean ended;

    private Subscribe() {}

    public static void main(String[] arguments) throws Exception {
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(main)));
        Contract contract = new Contract(SCHEMAS);
        try (KafkaConsumer<String, byte[]> consumer = new KafkaConsumer<>(SETTINGS);
                Connection database = connect(DATABASE)) {
            Delivery delivery = new Delivery(database, Environment.or("PLAY_MONEY", "").equals("1"));
            Offsets offsets = new Offsets(consumer, COMMIT_INTERVAL_MS);
            List<String> topics = Delivery.EVENTS.stream().map(name -> PREFIX + name).toList();
            consumer.subscribe(topics, offsets);
            while (!stopping) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(WAIT)) {
                    String name = record.topic().substring(PREFIX.length());
                    delivery.receive(name, contract.decode(name, record.value()));
                    offsets.note(record);
                }
                offsets.commitWhenDue();
            }
            offsets.commit();
        }
        ended = true;
    }

    /** Lets the loop end. Without halt(0) a JVM that ends by SIGTERM has the exit code 143, however well it ended. */
    private static void stop(Thread main) {
        stopping = true;
        try {
            main.join();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        if (ended) {
            Runtime.getRuntime().halt(0);
        }
    }

    /** Connects to a URL as the other kits take it: postgresql://user:password@host:port/database. */
    private static Connection connect(URI place) throws SQLException {
        String[] login = place.getUserInfo().split(":", 2);
        Properties properties = new Properties();
        properties.setProperty("user", login[0]);
        if (login.length == 2) {
            properties.setProperty("password", login[1]);
        }
        int port = place.getPort() == -1 ? 5432 : place.getPort();
        String query = place.getRawQuery() == null ? "" : "?" + place.getRawQuery();
        return DriverManager.getConnection(
                "jdbc:postgresql://" + place.getHost() + ":" + port + place.getPath() + query, properties);
    }
}
