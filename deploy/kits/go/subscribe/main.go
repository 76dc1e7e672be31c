// Subscribes to PaidAndConfirmed, OrderCancelled and PaymentFailed, with effect once. Runs until SIGTERM.
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
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"payments-kit/contract"
	"payments-kit/environment"
)

const (
	paid       = "PaidAndConfirmed"
	cancelled  = "OrderCancelled"
	failed     = "PaymentFailed"
	recordsMax = 200

	received = `
		insert into delivery.received (event_id, event_type) values ($1, $2)
		on conflict (event_id) do update set deliveries = received.deliveries + 1
		returning deliveries`
	// PaidAndConfirmed and OrderCancelled of an order are on two topics: two processes may have them at the same moment.
	lock     = `select pg_advisory_xact_lock(hashtextextended($1, 0))`
	dispatch = `
		insert into delivery.dispatch (event_id, order_id, amount_minor, currency, lines, state)
		values ($1, $2, $3, $4, $5,
		        case when exists (select from delivery.cancel where order_id = $2) then 'cancelled' else 'to_send' end)`
	cancel = `insert into delivery.cancel (event_id, order_id, request_id) values ($1, $2, $3)`
	stop   = `
		update delivery.dispatch set state = case state when 'sent' then 'recall' else 'cancelled' end
		where order_id = $1 and state in ('to_send', 'sent')`
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

type orderCancelled struct {
	EventID   string `avro:"event_id"`
	OrderID   string `avro:"order_id"`
	RequestID string `avro:"request_id"`
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
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(stopping context.Context) error {
	brokers, url := environment.Kafka(), environment.Database()
	session := environment.Milliseconds("SESSION_TIMEOUT_MS", 10_000)
	interval := environment.Milliseconds("COMMIT_INTERVAL_MS", 1_000)
	schemas, err := contract.Load(environment.Schemas())
	if err != nil {
		return err
	}
	database, err := pgx.Connect(stopping, url)
	if err != nil {
		return err
	}
	defer database.Close(context.Background())
	prefix := os.Getenv("TOPIC_PREFIX")
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumerGroup(cmp.Or(os.Getenv("GROUP_ID"), "delivery.dispatch")),
		kgo.ConsumeTopics(prefix+paid, prefix+cancelled, prefix+failed),
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
	name := strings.TrimPrefix(record.Topic, s.prefix)
	switch name {
	case paid:
		return s.receivePaid(context.Background(), record.Value)
	case cancelled:
		return s.receiveCancelled(context.Background(), record.Value)
	case failed:
		return s.receiveFailed(context.Background(), record.Value)
	}
	return fmt.Errorf("no effect of %s", name)
}

// receivePaid has the goods of a paid order sent, unless it is cancelled already. Orders paid with play money are not.
func (s *subscriber) receivePaid(ctx context.Context, body []byte) error {
	var event paidAndConfirmed
	if err := s.schemas.Decode(paid, body, &event); err != nil {
		return err
	}
	return s.once(ctx, event.EventID, paid, func(tx pgx.Tx) error {
		if !event.Livemode && !s.playMoney {
			return nil
		}
		if _, err := tx.Exec(ctx, lock, event.OrderID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, dispatch, event.EventID, event.OrderID, event.AmountMinor, event.Currency, event.Lines)
		return err
	})
}

// receiveCancelled stops the goods of a cancelled order. Those that were handed over are to be called back.
func (s *subscriber) receiveCancelled(ctx context.Context, body []byte) error {
	var event orderCancelled
	if err := s.schemas.Decode(cancelled, body, &event); err != nil {
		return err
	}
	return s.once(ctx, event.EventID, cancelled, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lock, event.OrderID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, cancel, event.EventID, event.OrderID, event.RequestID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, stop, event.OrderID)
		return err
	})
}

// receiveFailed notes that an order is not paid.
func (s *subscriber) receiveFailed(ctx context.Context, body []byte) error {
	var event paymentFailed
	if err := s.schemas.Decode(failed, body, &event); err != nil {
		return err
	}
	return s.once(ctx, event.EventID, failed, func(tx pgx.Tx) error {
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
