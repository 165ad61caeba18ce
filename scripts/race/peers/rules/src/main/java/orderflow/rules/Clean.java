package orderflow.rules;

import java.text.Normalizer;
import java.util.Set;

/** The rules of the module clean, field by field, with its default settings: transforms/modules/README.md. */
public final class Clean {
    private final Set<String> currencies = Set.copyOf(Tables.lines("currencies.txt"));

    public String customer(String customer) throws Rejected {
        String tidy = tidy(Normalizer.normalize(customer, Normalizer.Form.NFC));
        if (tidy.isEmpty()) {
            throw Rejected.byRule("customer is empty after cleaning");
        }
        return tidy;
    }

    public String currency(String currency) throws Rejected {
        if (currency == null) {
            return null;
        }
        String code = Ascii.upper(currency);
        if (!currencies.contains(code)) {
            throw Rejected.byRule("currency is not an active ISO 4217 code");
        }
        return code;
    }

    public String country(String country) {
        return country == null ? null : Ascii.upper(country);
    }

    public String channel(String channel) {
        return channel == null ? null : Ascii.lower(channel);
    }

    public String email(String text) {
        if (text == null) {
            return null;
        }
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

    /** Unicode's property White_Space; all of it lies in the basic plane. */
    private static boolean isWhiteSpace(char letter) {
        return switch (letter) {
            case '\t', '\n', 0x0B, '\f', '\r', ' ', 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 -> true;
            default -> letter >= 0x2000 && letter <= 0x200A;
        };
    }
}
