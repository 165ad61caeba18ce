//! Whether Kafka lets us write. Metadata come also for a topic that we may only look at, so readiness from them alone
//! would be a lie to everybody who asks before posting.

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
