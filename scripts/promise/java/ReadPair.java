// Java's own Avro on our pair of schemas: reads what the Rust codec wrote, under the one schema or resolved to the
// other, and writes it again. A second implementation as witness; it judges nothing, the Rust test compares.
//
//   java ReadPair <folder of the schemas>
//   stdin:  "<writer> <reader> <datum in hex>" a line, writer and reader being orders.received or order_placed
//   stdout: "<the record as JSON, decimals as text> TAB <the record written by Java under the reader schema, in hex>"

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

public class ReadPair {
    private static final GenericData DATA = new GenericData();

    public static void main(String[] arguments) throws IOException {
        DATA.addLogicalTypeConversion(new Conversions.DecimalConversion());
        Map<String, Schema> schemas = new HashMap<>();
        for (String name : new String[] {"orders.received", "order_placed"}) {
            schemas.put(name, new Schema.Parser().parse(new File(arguments[0], name + ".avsc")));
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            Schema reader = schemas.get(words[1]);
            GenericRecord order = read(schemas.get(words[0]), reader, HexFormat.of().parseHex(words[2]));
            out.println(json(order) + "\t" + HexFormat.of().formatHex(write(reader, order)));
        }
    }

    private static GenericRecord read(Schema writer, Schema reader, byte[] datum) throws IOException {
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(datum, null);
        GenericRecord order = new GenericDatumReader<GenericRecord>(writer, reader, DATA).read(null, decoder);
        if (!decoder.isEnd()) {
            throw new IOException("bytes are left behind the datum");
        }
        return order;
    }

    private static byte[] write(Schema schema, GenericRecord order) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<GenericRecord>(schema, DATA).write(order, encoder);
        encoder.flush();
        return bytes.toByteArray();
    }

    private static String json(Object value) {
        if (value == null) {
            return "null";
        }
        if (value instanceof GenericRecord) {
            GenericRecord record = (GenericRecord) value;
            StringBuilder text = new StringBuilder("{");
            for (Schema.Field field : record.getSchema().getFields()) {
                text.append(text.length() > 1 ? "," : "").append(quoted(field.name())).append(':').append(json(record.get(field.pos())));
            }
            return text.append('}').toString();
        }
        if (value instanceof Iterable) {
            StringBuilder text = new StringBuilder("[");
            for (Object element : (Iterable<?>) value) {
                text.append(text.length() > 1 ? "," : "").append(json(element));
            }
            return text.append(']').toString();
        }
        if (value instanceof Integer || value instanceof Long) {
            return value.toString();
        }
        return quoted(value instanceof java.math.BigDecimal ? ((java.math.BigDecimal) value).toPlainString() : value.toString());
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            if (unit == '"' || unit == '\\') {
                quoted.append('\\').append(unit);
            } else if (unit < ' ') {
                quoted.append(String.format("\\u%04x", (int) unit));
            } else {
                quoted.append(unit);
            }
        }
        return quoted.append('"').toString();
    }
}
