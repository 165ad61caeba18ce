//! Kafka as an operator sees it: topics and their settings, and how far a group has read. Reads no orders.

mod admin;
pub mod lag;

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};

pub use admin::{Admin, Existing};

use crate::retry::Transient;

/// Why Kafka did not do it.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The client could not do it.
    #[error("Kafka at {servers}: {cause}")]
    Client {
        /// The bootstrap servers.
        servers: String,
        /// The cause, told above.
        cause: ClientError,
    },
    /// The broker refused it for one topic.
    #[error("Kafka refuses topic {topic}: {code}")]
    Topic {
        /// The topic.
        topic: String,
        /// The broker's reason.
        code: Code,
    },
    /// The work was cut off.
    #[error("the question to Kafka was cut off")]
    Cut,
}

impl Transient for KafkaError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Client { cause, .. } => cause.rdkafka_error_code().is_none_or(is_transient),
            Self::Topic { code, .. } => is_transient(*code),
            Self::Cut => false,
        }
    }
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
