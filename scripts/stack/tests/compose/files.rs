//! Reads the files that are compared: the compose file as docker-compose understands it, properties, poms, Dockerfiles.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Settings by name.
pub(crate) type Settings = BTreeMap<String, String>;

/// A file of the checkout.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(name)
}

/// Its text.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs `docker-compose … config` with these secrets and nothing else that could set a variable: neither the caller's
/// environment nor a `.env` beside the compose file.
pub(crate) fn docker_compose(arguments: &[&str], secrets: &[(&str, &str)]) -> Result<String, String> {
    let nothing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("empty");
    fs::write(&nothing, "").unwrap();
    let mut command = Command::new("docker-compose");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
    command.arg("--env-file").arg(nothing).arg("--file").arg(path("docker-compose.yml"));
    command.args(["--project-directory"]).arg(path("")).args(arguments).arg("config");
    let output = command.envs(secrets.iter().copied()).output().unwrap_or_else(|error| {
        panic!(
            "docker-compose cannot be run ({error}); as root: apt-get install -y --no-install-recommends docker-compose"
        )
    });
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The compose file with its profiles, as docker-compose reads it.
pub(crate) struct Compose(Value);

impl Compose {
    /// Read once; docker-compose takes a second.
    pub(crate) fn read() -> &'static Self {
        static READ: OnceLock<Compose> = OnceLock::new();
        READ.get_or_init(|| {
            let secrets = [("POSTGRES_PASSWORD", "PASSWORD"), ("TRANSFORMS_TOKEN", "TOKEN")];
            let yaml = docker_compose(&["--profile", "ui"], &secrets).unwrap_or_else(|fault| panic!("{fault}"));
            Self(parse_yaml(&yaml))
        })
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0["services"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    pub(crate) fn service(&self, name: &str) -> &Value {
        self.0["services"].get(name).unwrap_or_else(|| panic!("docker-compose.yml has no service {name}"))
    }

    pub(crate) fn environment(&self, name: &str) -> Settings {
        let pairs = self.service(name)["environment"].as_object().unwrap();
        pairs.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// The list of texts under a key; empty if it is not there.
    pub(crate) fn list(&self, name: &str, key: &str) -> Vec<String> {
        let items = self.service(name)[key].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    }

    /// The name and the tag of a service's image.
    pub(crate) fn image(&self, name: &str) -> (String, String) {
        let image = self.service(name)["image"].as_str().unwrap();
        let (repository, tag) = image.split_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        (repository.to_owned(), tag.to_owned())
    }
}

/// By the parser that docker-compose itself uses: the system's Python has it as long as docker-compose is there.
fn parse_yaml(yaml: &str) -> Value {
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.argv[1]), sys.stdout)";
    let output = Command::new("/usr/bin/python3").args(["-c", script, yaml]).output().unwrap();
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python3-yaml, which comes with Debian's docker-compose, does not work: {fault}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The settings of a text with one a line, as `key=value` or `key: value`.
pub(crate) fn settings(text: &str, separator: &str) -> Settings {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (key, value) = line.split_once(separator).unwrap_or_else(|| panic!("no setting: {line}"));
        (key.trim().to_owned(), value.trim().to_owned())
    };
    lines.map(pair).collect()
}

/// What stands between two texts, the first time.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("`{start}` is not in the file"));
    rest.split_once(end).unwrap_or_else(|| panic!("no `{end}` after `{start}`")).0
}

/// A Dockerfile's text with its continued lines joined, so that a search does not depend on the breaks.
pub(crate) fn dockerfile(name: &str) -> String {
    let joined = text(&format!("scripts/stack/images/{name}.Dockerfile")).replace("\\\n", " ");
    joined.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}
