package kit;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** What the programs take from the environment. A variable that is missing or wrong ends them with 2, and one line. */
final class Environment {
    private static final int WRONG_SETTING = 2;

    private Environment() {}

    static String kafka() {
        return needed("KAFKA_BOOTSTRAP_SERVERS", "the addresses of the brokers, as host:port,host:port");
    }

    /** Returns the address of the subscriber's own database. */
    static URI database() {
        String like = "your own database, as postgresql://user:password@host:port/database";
        String text = needed("DATABASE_URL", like);
        try {
            URI url = new URI(text);
            if (text.matches("postgres(ql)?://.*") && url.getHost() != null && url.getUserInfo() != null) {
                return url;
            }
        } catch (URISyntaxException wrong) {
            // Its message would show the password.
        }
        throw end("DATABASE_URL is no address of PostgreSQL: set it to " + like);
    }

    /** Returns the folder of the schemas of payments. */
    static Path schemas() {
        Path folder = Path.of(or("SCHEMAS", "schemas"));
        Path avro = folder.resolve("avro");
        try (Stream<Path> files = Files.list(avro)) {
            if (files.anyMatch(file -> file.toString().endsWith(".avsc"))) {
                return folder;
            }
        } catch (IOException absent) {
            // As if there were no file in it.
        }
        throw end("SCHEMAS: there are no schemas in " + avro + ": copy schemas/avro and schemas/released into " + folder);
    }

    static int milliseconds(String name, int byDefault) {
        String text = or(name, Integer.toString(byDefault));
        try {
            int number = Integer.parseInt(text);
            if (number > 0) {
                return number;
            }
        } catch (NumberFormatException wrong) {
            // As if it were 0.
        }
        throw end(name + " is '" + text + "': set it to a whole number of milliseconds above 0");
    }

    /** Returns a variable, or this if it is not set. */
    static String or(String name, String byDefault) {
        String text = System.getenv(name);
        return text == null || text.isEmpty() ? byDefault : text;
    }

    private static String needed(String name, String like) {
        String text = or(name, "");
        if (text.isEmpty()) {
            throw end(name + " is not set: set it to " + like);
        }
        return text;
    }

    private static IllegalStateException end(String text) {
        System.err.println(text);
        System.exit(WRONG_SETTING);
        return new IllegalStateException(text);
    }
}
