// Package environment has what the programs take from the environment. A variable that is missing or wrong ends them
// with 2, and one line.
package environment

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const wrongSetting = 2

// Kafka returns the addresses of the brokers.
func Kafka() []string {
	return strings.Split(needed("KAFKA_BOOTSTRAP_SERVERS", "the addresses of the brokers, as host:port,host:port"), ",")
}

// Database returns the address of the subscriber's own database.
func Database() string {
	like := "your own database, as postgresql://user:password@host:port/database"
	url := needed("DATABASE_URL", like)
	if !strings.HasPrefix(url, "postgresql://") && !strings.HasPrefix(url, "postgres://") {
		end("DATABASE_URL is no address of PostgreSQL: set it to " + like)
	}
	return url
}

// Schemas returns the folder of the schemas of payments.
func Schemas() string {
	folder := cmp.Or(os.Getenv("SCHEMAS"), "schemas")
	avro := filepath.Join(folder, "avro")
	// The pattern is ours: Glob has no other error.
	if files, _ := filepath.Glob(filepath.Join(avro, "*.avsc")); len(files) == 0 {
		end("SCHEMAS: there are no schemas in " + avro + ": copy schemas/avro and schemas/released into " + folder)
	}
	return folder
}

// Milliseconds returns a time.
func Milliseconds(name string, byDefault int) time.Duration {
	text := cmp.Or(os.Getenv(name), strconv.Itoa(byDefault))
	number, err := strconv.Atoi(text)
	if err != nil || number <= 0 {
		end(fmt.Sprintf("%s is %q: set it to a whole number of milliseconds above 0", name, text))
	}
	return time.Duration(number) * time.Millisecond
}

func needed(name, like string) string {
	text := os.Getenv(name)
	if text == "" {
		end(name + " is not set: set it to " + like)
	}
	return text
}

func end(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(wrongSetting)
}
