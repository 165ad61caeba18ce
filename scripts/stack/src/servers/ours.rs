//! Our three commands: the binaries beside this one, told where everything is by their environment.

use std::fs;

use super::Context;
use crate::endpoints::HOST;
use crate::launch::Launch;
use crate::ports::PortName;
use crate::{Service, StackError};

pub(super) fn launch(context: &Context, service: Service) -> Result<Launch, StackError> {
    let program = context.options.binaries.join(service.name());
    if !program.is_file() {
        return Err(StackError::Missing {
            what: format!("the command {}", program.display()),
            remedy: "build it: cargo build --release --workspace".to_owned(),
        });
    }
    let data = context.layout.data(service);
    fs::create_dir_all(&data).map_err(StackError::file("make", &data))?;
    let at = |name| format!("{HOST}:{}", context.ports.get(name));
    // From the checkout's folder: connector files and the order's schema are found there.
    let mut launch = Launch::new(program, &context.options.root);
    launch = match service {
        Service::Edge => launch
            .args(["--listen", &at(PortName::Edge), "--admin-listen", &at(PortName::EdgeAdmin)])
            // The file that its user edits; the edge has one built in, too.
            .env("ORDER_SCHEMA", context.options.root.join("schemas/order.schema.json").display().to_string()),
        Service::Transforms => launch.args(["serve", "--listen", &at(PortName::Transforms)]),
        _ => launch.args(["serve", "--listen", &at(PortName::Connectors)]),
    };
    for (name, value) in context.endpoints.environment() {
        launch = launch.env(&name, value);
    }
    // What a person sets for the stack's commands goes through; nothing else of the caller's environment does.
    for name in ["RUST_LOG", "RUST_BACKTRACE"] {
        if let Ok(value) = std::env::var(name) {
            launch = launch.env(name, value);
        }
    }
    for (name, value) in &context.options.environment {
        launch = launch.env(name, value.as_str());
    }
    Ok(launch)
}
