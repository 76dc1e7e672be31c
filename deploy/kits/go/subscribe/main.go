// Subscribes to PaidAndConfirmed and PaymentFailed, with effect once. Runs until SIGTERM.
//
// Any error ends the process; its supervisor starts it again. Nothing is lost by that, because offsets are committed
// after effects. What comes again is known by its event id.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"payments-kit/contract"
)

const (
	paid       = "PaidAndConfirmed"
	failed     = "PaymentFailed"
	recordsMax = 200

	received = `
		insert into delivery.received (event_id, event_type) values ($1, $2)
		on conflict (event_id) do update set deliveries = received.deliveries + 1
		returning deliveries`
	dispatch = `
		insert into delivery.dispatch (event_id, order_id, amount_minor, currency, lines) values ($1, $2, $3, $4, $5)`
	failure = `
		insert into delivery.failure (event_id, order_id, stage, failure_code, retryable) values ($1, $2, $3, $4, $5)`
)

type item struct {
	SKU      string `avro:"sku" json:"sku"`
	Quantity int64  `avro:"quantity" json:"quantity"`
}

type paidAndConfirmed struct {
	EventID     string `avro:"event_id"`
	OrderID     string `avro:"order_id"`
	AmountMinor int64  `avro:"amount_minor"`
	Currency    string `avro:"currency"`
	Lines       []item `avro:"lines"`
	Livemode    bool   `avro:"livemode"`
}

type paymentFailed struct {
	EventID     string `avro:"event_id"`
	OrderID     string `avro:"order_id"`
	Stage       string `avro:"stage"`
	FailureCode string `avro:"failure_code"`
	Retryable   bool   `avro:"retryable"`
}

type subscriber struct {
	schemas   *contract.Contract
	database  *pgx.Conn
	prefix    string
	playMoney bool
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(stopping context.Context) error {
	schemas, err := contract.Load(cmp.Or(os.Getenv("SCHEMAS"), "schemas"))
	if err != nil {
		return err
	}
	session, err := milliseconds("SESSION_TIMEOUT_MS", "10000")
	if err != nil {
		return err
	}
	interval, err := milliseconds("COMMIT_INTERVAL_MS", "1000")
	if err != nil {
		return err
	}
	database, err := pgx.Connect(stopping, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer database.Close(context.Background())
	prefix := os.Getenv("TOPIC_PREFIX")
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP_SERVERS"), ",")...),
		kgo.ConsumerGroup(cmp.Or(os.Getenv("GROUP_ID"), "delivery.dispatch")),
		kgo.ConsumeTopics(prefix+paid, prefix+failed),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Only what is marked is committed: that is what has had its effect.
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(interval),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(session/5),
		// Partitions stay here while their events are received, and what is done is committed before they go.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, _ map[string][]int32) {
			commit(ctx, client)
		}),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	one := subscriber{schemas, database, prefix, os.Getenv("PLAY_MONEY") == "1"}
	for stopping.Err() == nil {
		fetches := client.PollRecords(stopping, recordsMax)
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err := one.receiveAll(client, fetches); err != nil {
			return err
		}
		client.AllowRebalance()
	}
	commit(context.Background(), client)
	return nil
}

// commit commits what is marked. After a rebalance it may be refused: then it comes again, and has no effect.
func commit(ctx context.Context, client *kgo.Client) {
	if err := client.CommitMarkedOffsets(ctx); err != nil {
		fmt.Println("commit refused:", err)
	}
}

func (s *subscriber) receiveAll(client *kgo.Client, fetches kgo.Fetches) error {
	var fault error
	fetches.EachError(func(topic string, partition int32, err error) {
		if !errors.Is(err, context.Canceled) {
			fault = fmt.Errorf("%s-%d: %w", topic, partition, err)
		}
	})
	for _, record := range fetches.Records() {
		if fault != nil {
			return fault
		}
		fault = s.receive(record)
		if fault == nil {
			client.MarkCommitRecords(record)
		}
	}
	return fault
}

// receive is not interrupted by SIGTERM: an event that it has begun, it ends.
func (s *subscriber) receive(record *kgo.Record) error {
	ctx := context.Background()
	name := strings.TrimPrefix(record.Topic, s.prefix)
	if name == paid {
		var event paidAndConfirmed
		if err := s.schemas.Decode(name, record.Value, &event); err != nil {
			return err
		}
		return s.once(ctx, event.EventID, name, func(tx pgx.Tx) error {
			// Orders that were paid with play money are not sent.
			if !event.Livemode && !s.playMoney {
				return nil
			}
			_, err := tx.Exec(ctx, dispatch, event.EventID, event.OrderID, event.AmountMinor, event.Currency, event.Lines)
			return err
		})
	}
	var event paymentFailed
	if err := s.schemas.Decode(name, record.Value, &event); err != nil {
		return err
	}
	return s.once(ctx, event.EventID, name, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, failure, event.EventID, event.OrderID, event.Stage, event.FailureCode, event.Retryable)
		return err
	})
}

// once stores the event's id and its effect in one transaction. An id that is there already has no effect. Another
// process that has the same event at this moment waits for the row of its id.
func (s *subscriber) once(ctx context.Context, eventID, name string, effect func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.database, func(tx pgx.Tx) error {
		var deliveries int64
		if err := tx.QueryRow(ctx, received, eventID, name).Scan(&deliveries); err != nil {
			return err
		}
		if deliveries > 1 {
			return nil
		}
		return effect(tx)
	})
}

func milliseconds(name, fallback string) (time.Duration, error) {
	number, err := strconv.Atoi(cmp.Or(os.Getenv(name), fallback))
	return time.Duration(number) * time.Millisecond, err
}
