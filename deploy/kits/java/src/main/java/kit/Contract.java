package kit;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaParser;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Reads and writes the events of payments: Avro in single-object encoding. Ids are text, times are microseconds since
 * 1970.
 */
final class Contract {
    private final Map<String, Schema> today = new HashMap<>();
    private final Map<String, BinaryMessageDecoder<GenericRecord>> decoders = new HashMap<>();

    /** Reads the schemas of a folder: avro/ has today's, released/ those of older releases. */
    Contract(Path folder) throws IOException {
        for (Schema schema : schemas(folder.resolve("avro"))) {
            today.put(schema.getName(), schema);
            decoders.put(schema.getName(), new BinaryMessageDecoder<>(GenericData.get(), schema));
        }
        if (today.isEmpty()) {
            throw new IOException("no schemas in " + folder + "/avro: copy schemas/avro and schemas/released there");
        }
        // An event may have been written by an older release, or by a newer one whose schemas were copied here first.
        for (Schema writer : schemas(folder)) {
            if (decoders.containsKey(writer.getName())) {
                decoders.get(writer.getName()).addSchema(writer);
            }
        }
    }

    Schema schema(String name) {
        return today.get(name);
    }

    /** Returns the body of an event. */
    byte[] encode(GenericRecord event) throws IOException {
        ByteBuffer body = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), event.getSchema()).encode(event);
        byte[] bytes = new byte[body.remaining()];
        body.get(bytes);
        return bytes;
    }

    /** Returns the event in a body, in today's form. Throws MissingSchemaException if no schema here wrote it. */
    GenericRecord decode(String name, byte[] body) throws IOException {
        return decoders.get(name).decode(body);
    }

    private static List<Schema> schemas(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(".avsc")).sorted().map(Contract::parse).toList();
        }
    }

    private static Schema parse(Path file) {
        try {
            return new SchemaParser().parse(Files.readString(file)).mainSchema();
        } catch (IOException unreadable) {
            throw new IllegalArgumentException(file + " cannot be read", unreadable);
        }
    }
}
