package orderflow.rules;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.math.BigDecimal;

/** The line items as JSON for the table's jsonb column: amounts are numbers with two digits behind the point. */
public final class ItemsJson {
    private static final JsonFactory JSON = JsonFactory.builder()
            .enable(StreamWriteFeature.WRITE_BIGDECIMAL_AS_PLAIN)
            .disable(JsonWriteFeature.WRITE_HEX_UPPER_CASE)
            .build();

    private final StringWriter text = new StringWriter();
    private final JsonGenerator json;

    public ItemsJson() {
        try {
            json = JSON.createGenerator(text);
            json.writeStartArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public void add(String sku, int quantity, BigDecimal unitPrice) {
        try {
            json.writeStartObject();
            json.writeStringField("sku", sku);
            json.writeNumberField("quantity", quantity);
            json.writeNumberField("unit_price", unitPrice);
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public String finish() {
        try {
            json.writeEndArray();
            json.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text.toString();
    }
}
