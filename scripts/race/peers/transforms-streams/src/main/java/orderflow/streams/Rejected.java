package orderflow.streams;

/** Why a record is no order that can be placed. It is expected, so it costs no stack trace. */
final class Rejected extends Exception {
    final String stage;

    Rejected(String stage, String reason) {
        super(reason, null, false, false);
        this.stage = stage;
    }

    static Rejected byRule(String reason) {
        return new Rejected("TRANSFORMATION", reason);
    }
}
