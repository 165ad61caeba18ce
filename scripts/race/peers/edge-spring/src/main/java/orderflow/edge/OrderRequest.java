package orderflow.edge;

import jakarta.validation.Valid;
import jakarta.validation.constraints.DecimalMax;
import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.Digits;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.math.BigDecimal;
import java.util.List;

/** An order as posted: the rules of schemas/order.schema.json. Lengths are of characters, which a pattern counts. */
public record OrderRequest(
        @NotNull @Pattern(regexp = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}") String orderId,
        @NotNull @Digits(integer = 13, fraction = 2) @DecimalMin("0") @DecimalMax("9999999999999.99") BigDecimal amount,
        @NotNull @Pattern(regexp = "[^\\x00]{1,256}") @Pattern(regexp = "(?sU).*\\S.*") String customer,
        @Pattern(regexp = "[A-Za-z]{3}") String currency,
        @Size(max = 500) List<@NotNull @Valid Item> items,
        @Pattern(regexp = "[^@\\x00]+@[^@\\x00]+") @Pattern(regexp = "(?s).{3,254}") String email,
        @Pattern(regexp = "[A-Za-z]{2}") String country,
        @Pattern(regexp = "[A-Za-z0-9_-]{1,32}") String channel,
        @OrderTime String createdAt) {

    public record Item(
            @NotNull @Pattern(regexp = "[^\\x00]{1,64}") String sku,
            @NotNull @Digits(integer = 7, fraction = 0) @DecimalMin("1") @DecimalMax("1000000") BigDecimal quantity,
            @NotNull @Digits(integer = 13, fraction = 2) @DecimalMin("0") @DecimalMax("9999999999999.99")
            BigDecimal unitPrice) {}
}
