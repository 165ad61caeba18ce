//! The calls of librdkafka that the crate offers in a form we cannot use. All `unsafe` of this crate is here.
//!
//! - The crate's `commit_transaction` flushes first and waits in steps of 100 ms; librdkafka's own commit flushes by
//!   itself, and a `ThreadedProducer` serves the delivery reports meanwhile: 3 to 6 ms on a real broker.
//! - The crate's header access panics on a name that is not UTF-8, and anybody may write such a record.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use super::input::Headers;

/// What librdkafka says of a failed transactional call.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its code.
    pub code: RDKafkaErrorCode,
    /// Whether the client is of no use any more.
    pub fatal: bool,
    /// Whether the same call may succeed.
    pub retriable: bool,
    /// Whether the transaction is lost.
    pub requires_abort: bool,
    /// Its own words.
    pub text: String,
}

/// Waits at most `timeout` until every record that was handed over has its report, which the producer's own thread serves;
/// says whether all have.
pub(super) fn flush<C: ProducerContext + 'static>(producer: &ThreadedProducer<C>, timeout: Duration) -> bool {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: as for `commit_transaction`.
    let ended = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), millis) };
    ended == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Commits the open transaction, waiting at most `timeout`.
pub(super) fn commit_transaction<C: ProducerContext + 'static>(
    producer: &ThreadedProducer<C>,
    timeout: Duration,
) -> Result<(), Failure> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer belongs to `producer`, which is borrowed for the whole call, and librdkafka's clients may be
    // called from any thread.
    let error = unsafe { sys::rd_kafka_commit_transaction(producer.client().native_ptr(), millis) };
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null error object is ours; each accessor only reads it, the text is copied, and it is destroyed
    // once, after its last use.
    let failure = unsafe {
        let failure = Failure {
            code: sys::rd_kafka_error_code(error).into(),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            text: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
        };
        sys::rd_kafka_error_destroy(error);
        failure
    };
    Err(failure)
}

/// The consumer's member id in its group; `None` before it has one.
pub(super) fn member_id<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<String> {
    let client = consumer.client().native_ptr();
    // SAFETY: the pointer belongs to `consumer`, which is borrowed for the whole call.
    let id = unsafe { sys::rd_kafka_memberid(client) };
    if id.is_null() {
        return None;
    }
    // SAFETY: a non-null id is a NUL-terminated text that is ours: it is copied, then freed once by librdkafka.
    let text = unsafe {
        let text = CStr::from_ptr(id).to_string_lossy().into_owned();
        sys::rd_kafka_mem_free(client, id.cast());
        text
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The headers of a record, in order, with names as bytes; a null value stays apart from an empty one.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut list = std::ptr::null_mut();
    // SAFETY: the message is alive for the whole call; on success `list` points to headers that the message owns.
    let found = unsafe { sys::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return Headers::new();
    }
    let mut headers = Headers::new();
    loop {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: `list` is valid as above; past the last index librdkafka answers with an error and writes nothing.
        let found =
            unsafe { sys::rd_kafka_header_get_all(list, headers.len(), &raw mut name, &raw mut value, &raw mut size) };
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return headers;
        }
        // SAFETY: the name ends with a NUL, the value (if there is one) has `size` bytes, and both live as long as the
        // message; they are copied here.
        let copied = unsafe {
            let name = CStr::from_ptr(name).to_bytes().to_vec();
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            (name, value)
        };
        headers.push(copied);
    }
}

/// Headers as the producer takes them.
pub(super) fn owned_headers(headers: &Headers) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    let list = std::ptr::from_ref(owned.as_borrowed()).cast_mut().cast::<sys::rd_kafka_headers_t>();
    for (name, value) in headers {
        let (value, size) = value.as_ref().map_or((std::ptr::null(), 0), |value| (value.as_ptr(), value.len()));
        // SAFETY: a `BorrowedHeaders` is librdkafka's header list seen through a reference (that is how the crate makes
        // it), and nobody else holds this one; name and value are copied by the call. Lengths of slices fit in isize.
        unsafe {
            sys::rd_kafka_header_add(
                list,
                name.as_ptr().cast::<c_char>(),
                name.len().cast_signed(),
                value.cast(),
                size.cast_signed(),
            );
        }
    }
    owned
}
