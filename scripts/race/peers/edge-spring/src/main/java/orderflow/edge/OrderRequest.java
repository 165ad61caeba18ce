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

/**
 * An order as posted: the rules of schemas/order.schema.json. Lengths are of characters, which a pattern counts. Fields and
 * no record: Jackson tells a null from a field that is not there only where it need not call a constructor.
 */
public class OrderRequest {
    @NotNull
    @Pattern(regexp = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
    public String orderId;

    @NotNull
    @Digits(integer = 13, fraction = 2)
    @DecimalMin("0")
    @DecimalMax("9999999999999.99")
    public BigDecimal amount;

    @NotNull
    @Pattern(regexp = "[^\\x00]{1,256}")
    @Pattern(regexp = "(?sU).*\\S.*")
    public String customer;

    @Pattern(regexp = "[A-Za-z]{3}")
    public String currency;

    @Size(max = 500)
    public List<@NotNull @Valid Item> items = List.of();

    @Pattern(regexp = "[^@\\x00]+@[^@\\x00]+")
    @Pattern(regexp = "(?s).{3,254}")
    public String email;

    @Pattern(regexp = "[A-Za-z]{2}")
    public String country;

    @Pattern(regexp = "[A-Za-z0-9_-]{1,32}")
    public String channel;

    @OrderTime
    public String createdAt;

    public static class Item {
        @NotNull
        @Pattern(regexp = "[^\\x00]{1,64}")
        public String sku;

        @NotNull
        @Digits(integer = 7, fraction = 0)
        @DecimalMin("1")
        @DecimalMax("1000000")
        public BigDecimal quantity;

        @NotNull
        @Digits(integer = 13, fraction = 2)
        @DecimalMin("0")
        @DecimalMax("9999999999999.99")
        public BigDecimal unitPrice;
    }
}
