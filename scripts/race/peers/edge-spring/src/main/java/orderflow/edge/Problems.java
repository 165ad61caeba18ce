package orderflow.edge;

import java.util.List;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.MethodArgumentNotValidException;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.context.request.WebRequest;
import org.springframework.web.servlet.mvc.method.annotation.ResponseEntityExceptionHandler;

/** Every field that breaks a rule is named in the problem. */
@RestControllerAdvice
class Problems extends ResponseEntityExceptionHandler {
    record Fault(String field, String message) {}

    @Override
    protected ResponseEntity<Object> handleMethodArgumentNotValid(
            MethodArgumentNotValidException fault, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
        ProblemDetail problem = fault.getBody();
        List<Fault> faults = fault.getBindingResult().getFieldErrors().stream()
                .map(error -> new Fault(error.getField(), error.getDefaultMessage()))
                .toList();
        problem.setProperty("errors", faults);
        return handleExceptionInternal(fault, problem, headers, status, request);
    }
}
