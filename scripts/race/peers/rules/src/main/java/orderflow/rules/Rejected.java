package orderflow.rules;

/** Why a record is no order that can be placed, and in which of Connect's stages. It is expected, so it costs no stack trace. */
public final class Rejected extends Exception {
    public final String stage;

    public Rejected(String stage, String reason) {
        super(reason, null, false, false);
        this.stage = stage;
    }

    static Rejected byRule(String reason) {
        return new Rejected("TRANSFORMATION", reason);
    }
}
