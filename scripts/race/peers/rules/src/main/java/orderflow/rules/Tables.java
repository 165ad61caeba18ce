package orderflow.rules;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.util.List;

/** The data files that the modules have, too. */
final class Tables {
    private Tables() {}

    /** Without comments and empty lines. */
    static List<String> lines(String name) {
        try (var input = Tables.class.getResourceAsStream("/" + name);
                var reader = new BufferedReader(new InputStreamReader(input, UTF_8))) {
            return reader.lines().filter(line -> !line.isEmpty() && !line.startsWith("#")).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
