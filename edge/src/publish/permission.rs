//! Whether Kafka lets us in and lets us write. Metadata come also for a topic that we may only look at, so readiness
//! from them alone would be a lie to everybody who asks before posting.

use std::{ffi::CString, ptr, time::Duration};

use rdkafka::{
    bindings as native,
    error::RDKafkaErrorCode,
    types::{RDKafka, RDKafkaRespErr},
};

/// What readiness says of an edge that may not write.
pub(super) const FORBIDDEN: &str =
    "Kafka does not allow the edge's user to write to the topic; grant Write and Describe on it";
/// The same of one that may not even see the topic.
pub(super) const HIDDEN: &str =
    "Kafka does not allow the edge's user to describe the topic; grant Write and Describe on it";

/// Whether an error is about what we may do, not about the order.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{ClusterAuthorizationFailed, TopicAuthorizationFailed};
    matches!(code, TopicAuthorizationFailed | ClusterAuthorizationFailed)
}

/// Why a broker does not take us, in words of ours: librdkafka's name addresses, and settings that the edge has not.
pub(super) fn cause(reason: &str) -> &'static str {
    const CAUSES: [(&str, &str); 5] = [
        ("nsupported", "Kafka does not take --kafka-sasl-mechanism for a login on this port"),
        ("uthentication", "Kafka refuses the login: --kafka-sasl-username or --kafka-sasl-password-file is wrong"),
        (
            "certificate verify failed",
            "the broker's certificate does not hold: not signed by an authority in --kafka-tls-ca, expired, or made for \
             another host name than the one in --kafka",
        ),
        ("alert", "the broker breaks the TLS handshake off: it does not take --kafka-tls-cert, or asks for one"),
        ("SSL", "the TLS handshake with the broker fails: is TLS spoken on this port?"),
    ];
    let said = said(reason);
    let known = CAUSES.iter().find(|(part, _)| said.contains(part));
    known.map_or("the broker does not take us", |(_, cause)| cause)
}

/// The same from a line of librdkafka's log: of a broker that hangs up it tells nothing else.
pub(super) fn cause_in_log(message: &str) -> Option<&'static str> {
    const SIGNS: [&str; 4] =
        ["Invalid response size", "requesting ApiVersion", "verify that security.protocol", "alert"];
    let said = said(message);
    SIGNS.iter().any(|sign| said.contains(sign)).then_some(
        "the broker hangs up at once: perhaps this port speaks another --kafka-security-protocol, or asks for a \
         --kafka-tls-cert that it trusts",
    )
}

/// What follows the names of thread and broker: a host may be called anything.
fn said(message: &str) -> &str {
    let message = match message.strip_prefix("[thrd:") {
        Some(message) => message.split_once("]: ").map_or(message, |(_, rest)| rest),
        None => message,
    };
    message.split_once(": ").map_or(message, |(_, said)| said)
}

/// Whether we may write to the topic, as this broker sees it; `None` where it does not say.
/// Blocks for the time at most, and takes a right to describe the topic, nothing more.
///
/// # Errors
/// When the answer did not come.
pub(super) fn may_write(
    kafka: *mut RDKafka,
    broker: i32,
    topic: &str,
    time: Duration,
) -> Result<Option<bool>, RDKafkaRespErr> {
    use RDKafkaRespErr::{RD_KAFKA_RESP_ERR__INVALID_ARG as INVALID, RD_KAFKA_RESP_ERR__TIMED_OUT as TIMED_OUT};
    let topic = CString::new(topic).map_err(|_| INVALID)?;
    let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    let mut names = [topic.as_ptr()];
    // SAFETY: `kafka` is a client that the caller keeps alive. What is made here is freed here, the event last, because
    // the result and all that is read from it lie within it. librdkafka copies the names.
    unsafe {
        let queue = native::rd_kafka_queue_new(kafka);
        let options =
            native::rd_kafka_AdminOptions_new(kafka, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let topics = native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let fault = native::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !fault.is_null() {
            native::rd_kafka_error_destroy(fault);
        }
        native::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        // Any broker knows; without this the question would wait for one that is called the controller.
        native::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        native::rd_kafka_DescribeTopics(kafka, topics, options, queue);
        let event = native::rd_kafka_queue_poll(queue, millis);
        let answer = if event.is_null() { Err(TIMED_OUT) } else { read(event) };
        if !event.is_null() {
            native::rd_kafka_event_destroy(event);
        }
        native::rd_kafka_TopicCollection_destroy(topics);
        native::rd_kafka_AdminOptions_destroy(options);
        native::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// # Safety
/// The event must be alive, and be the answer to a question for topics.
unsafe fn read(event: *mut native::rd_kafka_event_t) -> Result<Option<bool>, RDKafkaRespErr> {
    use RDKafkaRespErr::{RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE as OLD, RD_KAFKA_RESP_ERR_NO_ERROR as NONE};
    use native::rd_kafka_AclOperation_t::{RD_KAFKA_ACL_OPERATION_ALL as ALL, RD_KAFKA_ACL_OPERATION_WRITE as WRITE};
    // SAFETY: as the caller promises; lists are read only within the length that comes with them.
    unsafe {
        match native::rd_kafka_event_error(event) {
            NONE => {}
            OLD => return Ok(None),
            error => return Err(error),
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Ok(None);
        }
        let mut count = 0;
        let found = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if found.is_null() || count != 1 {
            return Ok(None);
        }
        match native::rd_kafka_error_code(native::rd_kafka_TopicDescription_error(*found)) {
            NONE => {}
            error => return Err(error),
        }
        let mut count = 0;
        let operations = native::rd_kafka_TopicDescription_authorized_operations(*found, &raw mut count);
        if operations.is_null() {
            return Ok(None);
        }
        Ok(Some(std::slice::from_raw_parts(operations, count).iter().any(|operation| [WRITE, ALL].contains(operation))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_named_by_the_setting_that_mends_it_and_holds_no_address() {
        let told = "sasl_ssl://10.1.2.3:9093/bootstrap: SASL authentication error: Authentication failed during \
                    authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512";
        assert!(cause(told).contains("--kafka-sasl-password-file"), "{}", cause(told));
        let told = "ssl://h:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed";
        assert!(cause(told).contains("--kafka-tls-ca"), "{}", cause(told));
        assert!(cause("error:0A00045C:SSL routines::tlsv13 alert certificate required").contains("--kafka-tls-cert"));
        let told = "ssl://h:1/bootstrap: Disconnected: requesting ApiVersion: might be caused by broker version < 0.10";
        assert!(cause_in_log(told).is_some_and(|cause| cause.contains("--kafka-tls-cert")));
        assert_eq!(cause_in_log("h:1/bootstrap: Connect to ipv4#10.1.2.3:1 failed: Connection refused"), None);
        assert!(cause("error:0A00010B:SSL routines::wrong version number").contains("is TLS spoken"));
        assert_eq!(cause("authentication.local:1/bootstrap: something else"), "the broker does not take us");
        let told =
            "[thrd:ssl://alert.local:1/bootstrap]: ssl://alert.local:1/bootstrap: Connect to ipv4#10.1.2.3:1 failed";
        assert_eq!(cause_in_log(told), None, "only the host's name says so");
        let told = "[thrd:ssl://h:1/bootstrap]: ssl://h:1/bootstrap: SSL handshake failed: tlsv13 alert";
        assert!(cause_in_log(told).is_some());
    }
}
