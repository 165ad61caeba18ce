package orderflow.streams;

import java.text.Normalizer;
import java.util.Set;
import orderflow.Order;

/** The rules of the module clean, with its default settings: transforms/modules/README.md. */
final class Clean {
    private final Set<String> currencies = Set.copyOf(Tables.lines("currencies.txt"));

    void apply(Order order) throws Rejected {
        String customer = tidy(Normalizer.normalize(order.getCustomer(), Normalizer.Form.NFC));
        if (customer.isEmpty()) {
            throw Rejected.byRule("customer is empty after cleaning");
        }
        order.setCustomer(customer);
        if (order.getCurrency() != null) {
            order.setCurrency(Ascii.upper(order.getCurrency()));
            if (!currencies.contains(order.getCurrency())) {
                throw Rejected.byRule("currency is not an active ISO 4217 code");
            }
        }
        if (order.getCountry() != null) {
            order.setCountry(Ascii.upper(order.getCountry()));
        }
        if (order.getEmail() != null) {
            order.setEmail(email(order.getEmail()));
        }
        if (order.getChannel() != null) {
            order.setChannel(Ascii.lower(order.getChannel()));
        }
    }

    /** Control characters out, runs of white space to one space, trimmed. */
    private static String tidy(String text) {
        var tidy = new StringBuilder(text.length());
        boolean gap = false;
        for (int at = 0; at < text.length(); at++) {
            char letter = text.charAt(at);
            if (Character.isISOControl(letter)) {
                continue;
            }
            if (isWhiteSpace(letter)) {
                gap = true;
                continue;
            }
            if (gap && !tidy.isEmpty()) {
                tidy.append(' ');
            }
            gap = false;
            tidy.append(letter);
        }
        return tidy.toString();
    }

    private static String email(String text) {
        int begin = 0;
        int end = text.length();
        while (begin < end && isWhiteSpace(text.charAt(begin))) {
            begin++;
        }
        while (begin < end && isWhiteSpace(text.charAt(end - 1))) {
            end--;
        }
        String email = text.substring(begin, end);
        int at = email.lastIndexOf('@');
        return at < 0 ? email : email.substring(0, at) + Ascii.lower(email.substring(at));
    }

    /** Unicode's property White_Space; all of it lies in the basic plane. */
    private static boolean isWhiteSpace(char letter) {
        return switch (letter) {
            case '\t', '\n', 0x0B, '\f', '\r', ' ', 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 -> true;
            default -> letter >= 0x2000 && letter <= 0x200A;
        };
    }
}
