//! A client of Kafka Connect's REST API, and of the API of `transforms`, which has the same shape.
//! Knows requests and answers; what to do about a failed task is decided in [`crate::serve`].

mod cause;
pub mod ends;
mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::http::{Access, Answer, Body, Http, HttpError};
use crate::retry::Transient;

pub use status::{FAILED, Part, RUNNING, Running, Status};

/// A connector's configuration, with `${env:…}` as it was written.
pub type Settings = BTreeMap<String, String>;

/// The topics that these settings name; none where they name a pattern instead (`topics.regex`).
#[must_use]
pub fn topics(settings: &Settings) -> Vec<String> {
    let topics = settings.get("topics").map_or("", String::as_str);
    topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()).map(str::to_owned).collect()
}

/// Starting a connector inside a worker may take as long as a rebalance of the worker's group.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The REST API at one address.
#[derive(Debug, Clone)]
pub struct Connect {
    http: Http,
}

/// A connector as the list shows it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Listed {
    /// Its state.
    #[serde(default)]
    pub status: Status,
    /// Its configuration.
    #[serde(default)]
    pub info: Info,
}

/// What Connect keeps about a connector.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Info {
    /// The configuration, unresolved.
    #[serde(default, deserialize_with = "given")]
    pub config: Settings,
}

/// A connector's configuration as an answer.
#[derive(Deserialize)]
struct Given(#[serde(deserialize_with = "given")] Settings);

/// Settings that are not null. Whoever PUTs a null means that the setting is not there, and Connect keeps it all the same.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    let all = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The worker is starting or rebalancing.
    #[error("{url} is busy ({status}: {message}); it takes requests again after its rebalance")]
    Busy {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The worker understood and will not.
    #[error("{url} refused with {status}: {message}")]
    Refused {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The answer is not Connect's.
    #[error("{url} gave an answer that is not Kafka Connect's; is something else listening there?")]
    Unreadable {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl Transient for ConnectError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Http(err) => err.is_transient(),
            Self::Busy { .. } => true,
            Self::Refused { .. } | Self::Unreadable { .. } => false,
        }
    }
}

impl Connect {
    /// The API at `base`, such as `http://127.0.0.1:8083`.
    ///
    /// # Errors
    /// [`HttpError::Client`] where no client can be made.
    pub fn new(base: &str) -> Result<Self, HttpError> {
        Self::with(base, &Access::default())
    }

    /// The same, by what it asks of its clients.
    ///
    /// # Errors
    /// [`HttpError::Client`] where a file of `access` cannot be used.
    pub fn with(base: &str, access: &Access) -> Result<Self, HttpError> {
        Ok(Self { http: Http::new(base, TIMEOUT, access)? })
    }

    /// The same, with a bearer token on each request.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { http: self.http.with_token(token) }
    }

    /// Where the API is.
    #[must_use]
    pub fn base(&self) -> &str {
        self.http.base()
    }

    /// All connectors with state and configuration.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn list(&self) -> Result<BTreeMap<String, Listed>, ConnectError> {
        self.json(Method::GET, "/connectors?expand=status&expand=info", Body::Empty).await
    }

    /// The names of all connectors.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn names(&self) -> Result<Vec<String>, ConnectError> {
        self.json(Method::GET, "/connectors", Body::Empty).await
    }

    /// A connector's state, or nothing where there is no such connector.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn status(&self, name: &str) -> Result<Option<Status>, ConnectError> {
        absent(self.json(Method::GET, &format!("/connectors/{name}/status"), Body::Empty).await)
    }

    /// A connector's configuration, or nothing where there is no such connector.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn settings(&self, name: &str) -> Result<Option<Settings>, ConnectError> {
        let path = format!("/connectors/{name}/config");
        let found: Option<Given> = absent(self.json(Method::GET, &path, Body::Empty).await)?;
        Ok(found.map(|Given(settings)| settings))
    }

    /// The id of the version that a pipeline is to run (`transforms` only).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn wanted_version(&self, name: &str) -> Result<String, ConnectError> {
        #[derive(Deserialize)]
        struct Wanted {
            version: String,
        }
        let wanted: Wanted = self.json(Method::GET, &format!("/connectors/{name}"), Body::Empty).await?;
        Ok(wanted.version)
    }

    /// Creates the connector or gives it these settings.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn put_settings(&self, name: &str, settings: &Settings) -> Result<(), ConnectError> {
        let body = Body::Json(serde_json::json!(settings));
        self.call(Method::PUT, &format!("/connectors/{name}/config"), body).await.map(|_| ())
    }

    /// As [`Connect::put_settings`], and a version that `transforms` refused by itself is tried once more (`transforms` only).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn force_settings(&self, name: &str, settings: &Settings) -> Result<(), ConnectError> {
        let body = Body::Json(serde_json::json!(settings));
        self.call(Method::PUT, &format!("/connectors/{name}/config?force=true"), body).await.map(|_| ())
    }

    /// What there is to know of a pipeline: its settings, and the modules that they were pinned to (`transforms` only).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn info(&self, name: &str) -> Result<Value, ConnectError> {
        self.json(Method::GET, &format!("/connectors/{name}"), Body::Empty).await
    }

    /// Name and version of every module (`transforms` only).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn modules(&self) -> Result<Vec<(String, String)>, ConnectError> {
        let modules: Vec<Value> = self.json(Method::GET, "/modules", Body::Empty).await?;
        let part = |module: &Value, key: &str| module.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(modules.iter().filter_map(|module| part(module, "name").zip(part(module, "version"))).collect())
    }

    /// The settings that a connector gave each of its tasks, as far as it has.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn task_settings(&self, name: &str) -> Result<Vec<Settings>, ConnectError> {
        #[derive(Deserialize)]
        struct Task {
            #[serde(default, deserialize_with = "given")]
            config: Settings,
        }
        let tasks: Vec<Task> = self.json(Method::GET, &format!("/connectors/{name}/tasks"), Body::Empty).await?;
        Ok(tasks.into_iter().map(|task| task.config).collect())
    }

    /// What the plugin says against these settings, empty where all is well.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn validate(&self, class: &str, name: &str, settings: &Settings) -> Result<Vec<Fault>, ConnectError> {
        let mut settings = settings.clone();
        settings.insert("name".to_owned(), name.to_owned());
        let path = format!("/connector-plugins/{class}/config/validate");
        let verdict: Value = self.json(Method::PUT, &path, Body::Json(serde_json::json!(settings))).await?;
        Ok(faults(&verdict))
    }

    /// Restarts the connector with its failed tasks, or with all of them.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn restart(&self, name: &str, only_failed: bool) -> Result<(), ConnectError> {
        let path = format!("/connectors/{name}/restart?includeTasks=true&onlyFailed={only_failed}");
        self.call(Method::POST, &path, Body::Empty).await.map(|_| ())
    }

    /// Makes a connector that does not run yet (KIP-980).
    ///
    /// # Errors
    /// [`ConnectError`]; also where there is one of this name.
    pub async fn create_stopped(&self, name: &str, settings: &Settings) -> Result<(), ConnectError> {
        let body = serde_json::json!({ "name": name, "config": settings, "initial_state": "STOPPED" });
        self.call(Method::POST, "/connectors", Body::Json(body)).await.map(|_| ())
    }

    /// Ends a connector's tasks until it is resumed; its settings and offsets stay (KIP-875).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn stop(&self, name: &str) -> Result<(), ConnectError> {
        self.call(Method::PUT, &format!("/connectors/{name}/stop"), Body::Empty).await.map(|_| ())
    }

    /// Lets a connector's tasks rest; they keep what they are assigned.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn pause(&self, name: &str) -> Result<(), ConnectError> {
        self.call(Method::PUT, &format!("/connectors/{name}/pause"), Body::Empty).await.map(|_| ())
    }

    /// Lets a stopped or paused connector run; one that is gone needs nothing.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn resume(&self, name: &str) -> Result<(), ConnectError> {
        absent(self.call(Method::PUT, &format!("/connectors/{name}/resume"), Body::Empty).await).map(|_| ())
    }

    /// Removes a connector; one that is gone needs nothing.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn delete(&self, name: &str) -> Result<(), ConnectError> {
        absent(self.call(Method::DELETE, &format!("/connectors/{name}"), Body::Empty).await).map(|_| ())
    }

    /// Uploads a module (`transforms` only); true where it was new.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn push_module(&self, wasm: Vec<u8>) -> Result<(Module, bool), ConnectError> {
        let answer = self.call(Method::POST, "/modules", Body::Wasm(wasm)).await?;
        let new = answer.status == StatusCode::CREATED;
        Ok((self.read("/modules", &answer)?, new))
    }

    /// What each module of a pipeline makes of a record that it wrote, once more; nothing where that cannot be told
    /// (`transforms` only).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn steps(&self, name: &str, record: &str) -> Result<Option<Value>, ConnectError> {
        let path = format!("/connectors/{name}/steps?record={record}");
        absent(self.json(Method::GET, &path, Body::Empty).await)
    }

    /// What `transforms` would take a module for; it keeps nothing of it (`transforms` only).
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::Refused`] says which check it does not pass.
    pub async fn try_module(&self, wasm: Vec<u8>) -> Result<Module, ConnectError> {
        let path = "/modules?dry_run=true";
        let answer = self.call(Method::POST, path, Body::Wasm(wasm)).await?;
        self.read(path, &answer)
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, ConnectError> {
        let answer = self.call(method, path, body).await?;
        self.read(path, &answer)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, ConnectError> {
        serde_json::from_slice(&answer.body)
            .map_err(|source| ConnectError::Unreadable { url: format!("{}{path}", self.base()), source })
    }

    async fn call(&self, method: Method, path: &str, body: Body) -> Result<Answer, ConnectError> {
        let answer = self.http.send(method, path, body).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let url = format!("{}{path}", self.base());
        let (status, message) = (answer.status.as_u16(), words(&answer));
        Err(if is_starting(&answer) || is_busy(answer.status, &message) {
            ConnectError::Busy { url, status, message }
        } else {
            ConnectError::Refused { url, status, message }
        })
    }
}

/// A module that `transforms` holds.
#[derive(Debug, Clone, Deserialize)]
pub struct Module {
    /// `name@version+sha256:…`.
    pub label: String,
    /// What it can be told.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// A parameter of a module.
#[derive(Debug, Clone, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Without it no pipeline starts.
    #[serde(default)]
    pub required: bool,
}

/// A worker that starts has its listener before its resources: it says 404 to everything, and not in JSON.
fn is_starting(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND && serde_json::from_slice::<Value>(&answer.body).is_err()
}

/// 409 is also a module's "same version, other bytes", which no waiting heals: only Connect's own words count.
fn is_busy(status: StatusCode, message: &str) -> bool {
    let signs = ["rebalance", "conflicting operation", "stale configuration"];
    let rebalance = signs.iter().any(|sign| message.contains(sign));
    match status {
        StatusCode::CONFLICT => rebalance,
        StatusCode::INTERNAL_SERVER_ERROR => {
            rebalance || message.contains("timed out") || message.contains("not yet been") || message.contains("leader")
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        _ => false,
    }
}

/// The words of an error answer: Connect's `message`, a problem's `detail`, or the text.
fn words(answer: &Answer) -> String {
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        return answer.excerpt();
    };
    ["message", "detail", "title"]
        .iter()
        .find_map(|key| document.get(key)?.as_str())
        .map_or_else(|| answer.excerpt(), str::to_owned)
}

fn absent<T>(result: Result<T, ConnectError>) -> Result<Option<T>, ConnectError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ConnectError::Refused { status: 404, .. }) => Ok(None),
        Err(err) => Err(err),
    }
}

/// What a plugin has against a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting.
    pub key: String,
    /// Why.
    pub words: String,
}

fn faults(verdict: &Value) -> Vec<Fault> {
    let configs = verdict.get("configs").and_then(Value::as_array);
    let mut faults = Vec::new();
    for value in configs.into_iter().flatten().filter_map(|config| config.get("value")) {
        let key = value.get("name").and_then(Value::as_str).unwrap_or("?");
        for error in value.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let words = error.as_str().unwrap_or("refused without words").to_owned();
            faults.push(Fault { key: key.to_owned(), words });
        }
    }
    faults
}

#[cfg(test)]
mod tests;
