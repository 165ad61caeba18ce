package orderflow.rules;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The rules of the module enrich, field by field: transforms/modules/README.md. */
public final class Enrich {
    private static final BigDecimal LIMIT = new BigDecimal("9999999999999.99");

    private record Band(String name, BigDecimal bound) {}

    private final String home;
    private final Map<String, BigDecimal> rates = new HashMap<>();
    private final List<Band> bands = new ArrayList<>();
    private final Map<String, String> regions = new HashMap<>();

    public Enrich(String home, String rates, String bands) {
        this.home = home;
        for (String[] pair : pairs(rates)) {
            this.rates.put(pair[0], new BigDecimal(pair[1]));
        }
        this.rates.put(home, BigDecimal.ONE);
        for (String[] pair : pairs(bands)) {
            this.bands.add(0, new Band(pair[0], new BigDecimal(pair[1])));
        }
        for (String line : Tables.lines("regions.csv")) {
            String[] parts = line.split(",");
            if (!parts[1].equals("NONE")) {
                regions.put(parts[0], parts[1]);
            }
        }
    }

    private static List<String[]> pairs(String text) {
        var pairs = new ArrayList<String[]>();
        for (String pair : text.isBlank() ? new String[0] : text.split(",")) {
            String[] parts = pair.split(":");
            pairs.add(new String[] {parts[0].strip(), parts[1].strip()});
        }
        return pairs;
    }

    public String homeCurrency() {
        return home;
    }

    public String currency(String currency) {
        return currency == null ? home : currency;
    }

    public String region(String country) {
        return country == null ? null : regions.get(country);
    }

    /** None where there is no rate. */
    public BigDecimal amountHome(BigDecimal amount, String currency) throws Rejected {
        BigDecimal rate = rates.get(currency);
        if (rate == null) {
            return null;
        }
        BigDecimal home = amount.multiply(rate).setScale(2, RoundingMode.HALF_EVEN);
        if (home.abs().compareTo(LIMIT) > 0) {
            throw Rejected.byRule("amount_home would be " + home.toPlainString() + ", outside of " + LIMIT);
        }
        return home;
    }

    public int itemCount(long count) throws Rejected {
        if (count != (int) count) {
            throw Rejected.byRule("item_count would be " + count + ", outside of " + Integer.MAX_VALUE);
        }
        return (int) count;
    }

    public String emailDomain(String email) {
        int at = email == null ? -1 : email.lastIndexOf('@');
        return at < 0 || at == email.length() - 1 ? null : email.substring(at + 1);
    }

    public String valueBand(BigDecimal amount) {
        if (amount != null) {
            for (Band band : bands) {
                if (band.bound().compareTo(amount) <= 0) {
                    return band.name();
                }
            }
        }
        return null;
    }
}
