//! Holds `docker-compose.yml` and the Dockerfiles to the native stack: versions, ports, settings, files. No container is
//! started: there may be no engine. What is compared is what Debian's `docker-compose` 1.29 reads out of the file.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod files;
mod same_files;
mod same_settings;
mod same_versions;
mod shape;
