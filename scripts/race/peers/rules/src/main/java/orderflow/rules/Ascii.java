package orderflow.rules;

/** Upper and lower case of ASCII letters only. */
final class Ascii {
    private Ascii() {}

    static String upper(String text) {
        return map(text, 'a', 'z', -32);
    }

    static String lower(String text) {
        return map(text, 'A', 'Z', 32);
    }

    private static String map(String text, char first, char last, int by) {
        char[] letters = null;
        for (int at = 0; at < text.length(); at++) {
            char letter = text.charAt(at);
            if (letter >= first && letter <= last) {
                if (letters == null) {
                    letters = text.toCharArray();
                }
                letters[at] = (char) (letter + by);
            }
        }
        return letters == null ? text : new String(letters);
    }
}
