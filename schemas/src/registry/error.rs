//! What the registry may say instead of a schema, and whether to ask again.

/// Why the registry gave no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No clear answer; the call may succeed later.
    #[error("schema registry at {url} gave no clear answer: {cause}; it is asked again")]
    Unavailable {
        /// The registry's address.
        url: String,
        /// What happened.
        cause: String,
    },
    /// 40403 on an id. Believe it only after [`witness`](super::Registry::witness).
    #[error("schema registry knows no schema with id {0}")]
    UnknownId(u32),
    /// 40401 or 40402: the subject has no version.
    #[error("schema registry has no subject {0}; `connectors apply` registers it")]
    UnknownSubject(String),
    /// The subject is there, but not with this schema.
    #[error("subject {0} does not have the schema that this program was built with; `connectors apply` registers it")]
    UnknownSchema(String),
    /// 409: the subject's compatibility rule refuses the schema.
    #[error("subject {subject} refuses the schema as incompatible: {reasons}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// The registry's own words.
        reasons: String,
    },
    /// Any other clear refusal.
    #[error("schema registry refuses with error code {code}: {message}")]
    Refused {
        /// The registry's `error_code`.
        code: u32,
        /// The registry's own words.
        message: String,
    },
}

impl Error {
    /// Whether the same call may succeed later with nothing else changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::UnknownId(_)
            | Self::UnknownSubject(_)
            | Self::UnknownSchema(_)
            | Self::Incompatible { .. }
            | Self::Refused { .. } => false,
        }
    }
}
