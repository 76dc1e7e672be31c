// Package contract reads and writes the events of payments: Avro in single-object encoding.
package contract

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hamba/avro/v2"
)

const headBytes = 10

// By default hamba writes arrays with their size in bytes. Both forms are Avro; this one is what all others write.
var codec = avro.Config{DisableBlockSizeHeader: true}.Freeze()

type known struct {
	schema avro.Schema
	name   string
	head   string
}

// Contract has the schemas of payments. Ids are text, times are microseconds since 1970.
type Contract struct {
	today   map[string]known
	writers map[string]known
}

// Load reads the schemas of a folder: avro/ has today's, released/ those of older releases.
func Load(folder string) (*Contract, error) {
	contract := &Contract{today: map[string]known{}, writers: map[string]known{}}
	avroFolder := filepath.Join(folder, "avro")
	// An event may have been written by an older release, or by a newer one whose schemas were copied here first.
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".avsc") {
			return err
		}
		one, err := read(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		contract.writers[one.head] = one
		if filepath.Dir(path) == avroFolder {
			contract.today[one.name] = one
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(contract.today) == 0 {
		return nil, fmt.Errorf("no schemas in %s: copy schemas/avro and schemas/released there", avroFolder)
	}
	return contract, nil
}

// Encode returns the body of an event, a struct with a tag for each field of the schema.
func (c *Contract) Encode(name string, event any) ([]byte, error) {
	one, found := c.today[name]
	if !found {
		return nil, fmt.Errorf("no schema of %s", name)
	}
	encoded, err := codec.Marshal(one.schema, event)
	return append([]byte(one.head), encoded...), err
}

// Decode fills a struct from a body, with the fields that it has a tag for.
func (c *Contract) Decode(name string, body []byte, event any) error {
	reader, found := c.today[name]
	if !found || len(body) < headBytes {
		return fmt.Errorf("%s: no schema, or no body", name)
	}
	writer, found := c.writers[string(body[:headBytes])]
	if !found || writer.name != name {
		return fmt.Errorf("%s: no schema here has the fingerprint %x", name, body[2:headBytes])
	}
	schema := reader.schema
	if writer.head != reader.head {
		resolved, err := avro.NewSchemaCompatibility().Resolve(reader.schema, writer.schema)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		schema = resolved
	}
	return codec.Unmarshal(schema, body[headBytes:], event)
}

func read(path string) (known, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return known{}, err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return known{}, err
	}
	// hamba keeps logical types in the canonical form, against the specification: its fingerprint of our schemas is
	// wrong, until they are taken out. The bytes of the values are the same without them.
	stripped, err := json.Marshal(withoutLogicalTypes(plain))
	if err != nil {
		return known{}, err
	}
	schema, err := avro.ParseBytesWithCache(stripped, "", &avro.SchemaCache{})
	if err != nil {
		return known{}, err
	}
	record, isRecord := schema.(*avro.RecordSchema)
	if !isRecord {
		return known{}, fmt.Errorf("not a record")
	}
	fingerprint, err := record.FingerprintUsing(avro.CRC64AvroLE)
	if err != nil {
		return known{}, err
	}
	return known{schema, record.Name(), "\xc3\x01" + string(fingerprint)}, nil
}

func withoutLogicalTypes(value any) any {
	switch found := value.(type) {
	case map[string]any:
		delete(found, "logicalType")
		for name, inner := range found {
			found[name] = withoutLogicalTypes(inner)
		}
	case []any:
		for index, inner := range found {
			found[index] = withoutLogicalTypes(inner)
		}
	}
	return value
}
