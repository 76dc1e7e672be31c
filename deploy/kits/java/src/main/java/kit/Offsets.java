package kit;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;

/** What has had its effect, but is not committed yet. */
final class Offsets implements ConsumerRebalanceListener {
    private final Consumer<?, ?> consumer;
    private final long intervalNs;
    private final Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
    private long committedAt = System.nanoTime();

    Offsets(Consumer<?, ?> consumer, long intervalMs) {
        this.consumer = consumer;
        this.intervalNs = intervalMs * 1_000_000;
    }

    /** Notes that everything up to this message has had its effect. */
    void note(ConsumerRecord<?, ?> record) {
        done.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
    }

    void commitWhenDue() {
        if (System.nanoTime() - committedAt >= intervalNs) {
            commit();
        }
    }

    /** Commits what is done. After a rebalance it may be refused: then it comes again, and has no effect. */
    void commit() {
        done.keySet().retainAll(consumer.assignment());
        try {
            if (!done.isEmpty()) {
                consumer.commitSync(Map.copyOf(done));
            }
        } catch (CommitFailedException | RebalanceInProgressException refused) {
            System.out.println("commit refused: " + refused.getMessage());
        }
        done.clear();
        committedAt = System.nanoTime();
    }

    /** Commits before another process gets these partitions. */
    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        commit();
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
        done.clear();
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        System.out.println("assigned: " + assigned.size() + " partitions");
    }
}
