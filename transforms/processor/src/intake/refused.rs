//! A refusal: which check, what it met, what the limit is, and the way out.

use http::StatusCode;
use serde_json::Value;
use transform_host::LoadError;

/// The checks, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Bytes of the upload.
    Size,
    /// Its first bytes.
    Magic,
    /// WebAssembly, with the reduced set of features; its imports, exports and world; and what it says of itself.
    Load(&'static str),
    /// Compiling within bounds.
    Compile,
    /// A version never changes.
    Version,
    /// The sample's output fits.
    DryRun,
    /// Equal outputs whatever came before.
    Purity,
}

/// Why an upload is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Of the answer.
    pub status: StatusCode,
    /// By which check.
    pub check: Check,
    /// What is wrong, with the value in it.
    pub text: String,
    /// What was met. Boxed, as the other is: a refusal is the rare way out of every check.
    pub value: Box<Value>,
    /// What would have been taken.
    pub limit: Box<Value>,
    /// What to do.
    pub way_out: String,
}

impl Check {
    /// One word that never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Magic => "magic",
            Self::Load(name) => name,
            Self::Compile => "compile",
            Self::Version => "version",
            Self::DryRun => "dry-run",
            Self::Purity => "purity",
        }
    }
}

impl Refused {
    /// A refusal by this check.
    #[must_use]
    pub fn new(check: Check, text: impl Into<String>, way_out: impl Into<String>) -> Self {
        let status = match check {
            Check::Size => StatusCode::PAYLOAD_TOO_LARGE,
            Check::Version => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self { status, check, text: text.into(), value: Box::default(), limit: Box::default(), way_out: way_out.into() }
    }

    /// What was met.
    #[must_use]
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        *self.value = value.into();
        self
    }

    /// What would have been taken.
    #[must_use]
    pub fn limit(mut self, limit: impl Into<Value>) -> Self {
        *self.limit = limit.into();
        self
    }
}

/// What loading says, as a refusal. The error's own words have their way out behind the semicolon.
#[must_use]
pub fn load(error: &LoadError) -> Refused {
    let whole = error.to_string();
    match error {
        LoadError::TooLarge { size, limit } => too_large(*size, *limit),
        LoadError::Import(name) => split(error, &whole).value(name.as_str()).limit("log, metric, lookup"),
        LoadError::World(world) => split(error, &whole).value(world.as_str()).limit(transform_host::WORLD),
        LoadError::Name(text) | LoadError::Version(text) => split(error, &whole).value(text.as_str()),
        LoadError::Parameter { name, .. } => split(error, &whole).value(name.as_str()),
        LoadError::NotAComponent(_)
        | LoadError::Export(_)
        | LoadError::Describe(_)
        | LoadError::Payload
        | LoadError::Schema(_) => split(error, &whole),
    }
}

fn split(error: &LoadError, whole: &str) -> Refused {
    let (text, way_out) =
        whole.rsplit_once("; ").unwrap_or((whole, "build it with `transforms build` of this release"));
    Refused::new(Check::Load(error.check()), text, way_out)
}

/// More bytes than are taken.
#[must_use]
pub fn too_large(size: usize, limit: usize) -> Refused {
    Refused::new(
        Check::Size,
        format!("the module has {size} bytes, the limit is {limit}"),
        "build it with --release and without what it does not use",
    )
    .value(size)
    .limit(limit)
}
