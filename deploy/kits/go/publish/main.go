// Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.
//
// A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was
// confirmed. So a line that is published again is the same event, and has no effect. Prints where each event is stored.
// Ends with an error if one was not stored: then publish the same lines again. A line that is no such event ends it with 2
// before any is published.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"payments-kit/contract"
	"payments-kit/environment"
)

const (
	event        = "OrderConfirmed"
	source       = "/checkout"
	lineBytesMax = 16_000_000
	wrongLine    = 2
)

type line struct {
	SKU            string `avro:"sku" json:"sku"`
	Quantity       int64  `avro:"quantity" json:"quantity"`
	UnitPriceMinor int64  `avro:"unit_price_minor" json:"unit_price_minor"`
}

type paymentMethod struct {
	Kind              string  `avro:"kind" json:"kind"`
	Token             string  `avro:"token" json:"token"`
	GatewayCustomerID *string `avro:"gateway_customer_id" json:"gateway_customer_id"`
	OffSession        bool    `avro:"off_session" json:"off_session"`
}

type orderConfirmed struct {
	EventID          string         `avro:"event_id" json:"event_id"`
	OccurredAt       time.Time      `avro:"-" json:"occurred_at"`
	OccurredAtMicros int64          `avro:"occurred_at" json:"-"`
	OrderID          string         `avro:"order_id" json:"order_id"`
	CorrelationID    string         `avro:"correlation_id" json:"correlation_id"`
	CausationID      *string        `avro:"causation_id" json:"causation_id"`
	CustomerID       string         `avro:"customer_id" json:"customer_id"`
	Currency         string         `avro:"currency" json:"currency"`
	Lines            []line         `avro:"lines" json:"lines"`
	DiscountMinor    int64          `avro:"discount_minor" json:"discount_minor"`
	DeliveryFeeMinor int64          `avro:"delivery_fee_minor" json:"delivery_fee_minor"`
	ServiceFeeMinor  int64          `avro:"service_fee_minor" json:"service_fee_minor"`
	TaxMinor         int64          `avro:"tax_minor" json:"tax_minor"`
	TotalMinor       int64          `avro:"total_minor" json:"total_minor"`
	PaymentMethod    *paymentMethod `avro:"payment_method" json:"payment_method"`
}

func main() {
	if err := publish(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func publish(ctx context.Context) error {
	brokers := environment.Kafka()
	schemas, err := contract.Load(environment.Schemas())
	if err != nil {
		return err
	}
	records, err := readRecords(schemas)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.DefaultProduceTopic(os.Getenv("TOPIC_PREFIX")+event),
		// Idempotence is on unless it is disabled, and asks for the acks of all.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// With nil it is Java's murmur2.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		// By default it compresses with snappy.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(5*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	results := client.ProduceSync(ctx, records...)
	for _, result := range results {
		if result.Err == nil {
			fmt.Printf("{\"at\": [%d, %d]}\n", result.Record.Partition, result.Record.Offset)
		}
	}
	return results.FirstErr()
}

// readRecords returns the records of all lines, or says which line is no event and ends the program.
func readRecords(schemas *contract.Contract) ([]*kgo.Record, error) {
	var records []*kgo.Record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		record, err := readRecord(schemas, lines.Bytes())
		if err != nil {
			why, _, _ := strings.Cut(err.Error(), "\n")
			fmt.Fprintf(os.Stderr, "line %d is no %s (%s): mend it and publish all lines again; none was published\n",
				number, event, why)
			os.Exit(wrongLine)
		}
		records = append(records, record)
	}
	return records, lines.Err()
}

func readRecord(schemas *contract.Contract, text []byte) (*kgo.Record, error) {
	var order orderConfirmed
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the event")
	}
	if err := whole(order, text); err != nil {
		return nil, err
	}
	if order.Lines == nil {
		return nil, errors.New("lines is missing")
	}
	order.OccurredAtMicros = order.OccurredAt.UnixMicro()
	body, err := schemas.Encode(event, order)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Key: []byte(order.OrderID), Value: body, Headers: headers(order)}, nil
}

// whole returns an error if the text lacks a field. Go would take its zero: an amount of 0, or an event without an id.
func whole(order orderConfirmed, text []byte) error {
	made, err := json.Marshal(order)
	if err != nil {
		return err
	}
	var read, given any
	if err := errors.Join(json.Unmarshal(made, &read), json.Unmarshal(text, &given)); err != nil {
		return err
	}
	return compare(event, read, given)
}

func compare(name string, read, given any) error {
	if read != nil && given == nil {
		return fmt.Errorf("%s is missing", name)
	}
	switch read := read.(type) {
	case map[string]any:
		fields, _ := given.(map[string]any)
		for field, value := range read {
			if err := compare(name+"."+field, value, fields[field]); err != nil {
				return err
			}
		}
	case []any:
		items, _ := given.([]any)
		for index, value := range read {
			if err := compare(fmt.Sprintf("%s[%d]", name, index), value, items[index]); err != nil {
				return err
			}
		}
	}
	return nil
}

// headers returns the headers of an event: CloudEvents 1.0 in Kafka's binary mode.
func headers(order orderConfirmed) []kgo.RecordHeader {
	at := time.UnixMicro(order.OccurredAtMicros).UTC().Format("2006-01-02T15:04:05.000000Z")
	return []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(order.EventID)},
		{Key: "ce_source", Value: []byte(source)},
		{Key: "ce_type", Value: []byte(event)},
		{Key: "ce_time", Value: []byte(at)},
		{Key: "ce_subject", Value: []byte(order.OrderID)},
		{Key: "content-type", Value: []byte("application/avro")},
	}
}
