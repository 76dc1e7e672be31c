// Prints how hamba/avro and goavro name each schema, and writes an example of it again as a single object.
//
// In: a line "name TAB schema TAB body in hex". Out: a line "library TAB name TAB single object in hex" for each library.
// The head of the single object is the library's own; the body is read and written by it.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/soe"
	"github.com/linkedin/goavro/v2"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func hamba(text string, body []byte) []byte {
	schema := must(avro.ParseWithCache(text, "", &avro.SchemaCache{}))
	var value any
	if err := avro.Unmarshal(schema, body, &value); err != nil {
		must(0, err)
	}
	return must(must(soe.NewCodec(schema)).Encode(value))
}

func linkedin(text string, body []byte) []byte {
	codec := must(goavro.NewCodec(text))
	value, _, err := codec.NativeFromBinary(body)
	must(0, err)
	return must(codec.SingleFromNative(nil, value))
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		parts := strings.Split(in.Text(), "\t")
		body := must(hex.DecodeString(parts[2]))
		fmt.Printf("hamba/avro\t%s\t%s\n", parts[0], hex.EncodeToString(hamba(parts[1], body)))
		fmt.Printf("goavro\t%s\t%s\n", parts[0], hex.EncodeToString(linkedin(parts[1], body)))
	}
	must(0, in.Err())
}
