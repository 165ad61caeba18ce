//! Kafka as an operator sees it: topics and their settings, how far a group has read, and records as they lie there.

mod admin;
pub(crate) mod client;
pub mod lag;
pub mod record;
pub mod scan;
pub mod sender;

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use service_kit::kafka::refusal::{HANGS_UP, with_way_out};

pub use admin::{Admin, Existing};

use crate::retry::Transient;

/// Why Kafka did not do it.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The client could not do it.
    #[error("{}", failed(servers, cause))]
    Client {
        /// The bootstrap servers.
        servers: String,
        /// The cause, told above.
        cause: ClientError,
    },
    /// The brokers do not take us.
    #[error("Kafka at {servers}: {why}")]
    Refused {
        /// The bootstrap servers.
        servers: String,
        /// Why, by the flag that mends it.
        why: &'static str,
    },
    /// The broker refused it for one topic.
    #[error("{}", refused("topic", topic, *code))]
    Topic {
        /// The topic.
        topic: String,
        /// The broker's reason.
        code: Code,
    },
    /// The broker refused it for one group.
    #[error("{}", refused("group", group, *code))]
    Group {
        /// The group.
        group: String,
        /// The broker's reason.
        code: Code,
    },
    /// There is no such topic.
    #[error("Kafka at {servers} has no topic {topic}{}", near.as_ref().map_or_else(String::new, |near| format!("; did you mean {near}?")))]
    NoTopic {
        /// The bootstrap servers.
        servers: String,
        /// The topic.
        topic: String,
        /// One with nearly the same name.
        near: Option<String>,
    },
    /// A topic has no such partition.
    #[error("{topic} has no partition {partition}: its partitions are 0 to {}", partitions - 1)]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many there are.
        partitions: i32,
    },
    /// The broker did not send what it has.
    #[error("Kafka did not send what lies in {topic}/{partition} in time; ask again, or give it more time")]
    Late {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// It holds more than is remembered.
    #[error("{topic} holds {most} records or more, and no more than so many are remembered")]
    Many {
        /// The topic.
        topic: String,
        /// How many are.
        most: usize,
    },
    /// A record that was there is not any more.
    #[error("no record lies at {0} any more")]
    Gone(record::Address),
    /// A header that the client cannot write as it is.
    #[error("a header of a record for {topic} has a name that is no text; it would not be written as it was")]
    Header {
        /// The topic.
        topic: String,
    },
    /// Nobody may be in a group whose offsets are set from outside, or that is removed.
    #[error("the group still has members")]
    Members,
    /// The work was cut off.
    #[error("the question to Kafka was cut off")]
    Cut,
}

fn failed(servers: &str, cause: &ClientError) -> String {
    with_way_out(format!("Kafka at {servers}: {cause}"))
}

fn refused(kind: &str, name: &str, code: Code) -> String {
    with_way_out(format!("Kafka refuses {kind} {name}: {code}"))
}

impl Transient for KafkaError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Client { cause, .. } => cause.rdkafka_error_code().is_none_or(is_transient),
            Self::Topic { code, .. } | Self::Group { code, .. } => is_transient(*code),
            Self::Late { .. } | Self::Members => true,
            // A broker that starts may break a connection off as well; a wrong password stays wrong.
            Self::Refused { why, .. } => *why == HANGS_UP,
            Self::NoTopic { .. }
            | Self::NoPartition { .. }
            | Self::Header { .. }
            | Self::Many { .. }
            | Self::Gone(_)
            | Self::Cut => false,
        }
    }
}

/// Work with a client that blocks, beside everything else.
pub(crate) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(ask).await.map_err(|_| KafkaError::Cut)?
}

/// Lets a client go beside everything else: its end waits for its threads, and for what is under way where a call was
/// given up. Nobody waits for that but `main`, for a few seconds when all is done.
pub(crate) fn let_go<T: Send + 'static>(client: T) {
    drop(tokio::task::spawn_blocking(move || drop(client)));
}

/// A broker that starts, moves a leader or loads a coordinator.
fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotController
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::UnknownTopicOrPartition
    )
}
