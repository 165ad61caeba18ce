package orderflow.edge;

import jakarta.validation.Constraint;
import jakarta.validation.ConstraintValidator;
import jakarta.validation.ConstraintValidatorContext;
import jakarta.validation.Payload;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.regex.Pattern;

/** RFC 3339 with an offset, from 2000-01-01 to before 2100-01-01 UTC. */
@Target({ElementType.FIELD, ElementType.PARAMETER})
@Retention(RetentionPolicy.RUNTIME)
@Constraint(validatedBy = OrderTime.Validator.class)
public @interface OrderTime {
    String message() default "must be an RFC 3339 time from 2000-01-01 to before 2100-01-01";

    Class<?>[] groups() default {};

    Class<? extends Payload>[] payload() default {};

    class Validator implements ConstraintValidator<OrderTime, String> {
        private static final Instant FROM = Instant.parse("2000-01-01T00:00:00Z");
        private static final Instant BEFORE = Instant.parse("2100-01-01T00:00:00Z");
        // java.time also takes a time without seconds, RFC 3339 does not.
        private static final Pattern RFC_3339 = Pattern.compile(
                "\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?([Zz]|[+-]\\d{2}:\\d{2})");

        @Override
        public boolean isValid(String text, ConstraintValidatorContext context) {
            if (text == null) {
                return true;
            }
            if (text.length() > 40 || !RFC_3339.matcher(text).matches()) {
                return false;
            }
            try {
                Instant time = parse(text);
                return !time.isBefore(FROM) && time.isBefore(BEFORE);
            } catch (DateTimeException e) {
                return false;
            }
        }

        static Instant parse(String text) {
            return OffsetDateTime.parse(text).toInstant().truncatedTo(ChronoUnit.MILLIS);
        }
    }
}
