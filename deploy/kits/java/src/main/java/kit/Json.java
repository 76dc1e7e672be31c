package kit;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.Iterator;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;

/** Makes Avro values from JSON. Fields that the schema does not have, and numbers that are not whole, are refused. */
final class Json {
    private Json() {}

    static GenericRecord record(Schema schema, JsonNode json) {
        for (Iterator<String> names = json.fieldNames(); names.hasNext(); ) {
            String name = names.next();
            if (schema.getField(name) == null) {
                throw new IllegalArgumentException(schema.getName() + " has no field " + name);
            }
        }
        GenericRecordBuilder record = new GenericRecordBuilder(schema);
        for (Schema.Field field : schema.getFields()) {
            if (json.has(field.name())) {
                record.set(field, value(field.schema(), json.get(field.name())));
            }
        }
        return record.build();
    }

    private static Object value(Schema schema, JsonNode json) {
        return switch (schema.getType()) {
            case RECORD -> record(schema, json);
            case ARRAY -> {
                check(json.isArray(), json, "a list");
                GenericData.Array<Object> items = new GenericData.Array<>(json.size(), schema);
                json.forEach(item -> items.add(value(schema.getElementType(), item)));
                yield items;
            }
            // All unions here are of null and something.
            case UNION -> json.isNull() ? null : value(schema.getTypes().get(1), json);
            case ENUM -> new GenericData.EnumSymbol(schema, json.textValue());
            case LONG -> schema.getLogicalType() == null ? whole(json) : micros(json);
            case BOOLEAN -> {
                check(json.isBoolean(), json, "true or false");
                yield json.booleanValue();
            }
            case STRING -> json.textValue();
            default -> throw new IllegalArgumentException("no " + schema.getType() + " in OrderConfirmed");
        };
    }

    private static long whole(JsonNode json) {
        check(json.isIntegralNumber() && json.canConvertToLong(), json, "a whole number");
        return json.longValue();
    }

    private static long micros(JsonNode json) {
        check(json.isTextual(), json, "a time in ISO 8601");
        return ChronoUnit.MICROS.between(Instant.EPOCH, OffsetDateTime.parse(json.textValue()).toInstant());
    }

    private static void check(boolean right, JsonNode json, String wanted) {
        if (!right) {
            throw new IllegalArgumentException("a " + json.getNodeType() + " stands where " + wanted + " must be");
        }
    }
}
