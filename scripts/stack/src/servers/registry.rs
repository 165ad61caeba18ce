//! The schema registry. It keeps its data in Kafka, so that an outage of PostgreSQL is not its outage too.

use super::Context;
use crate::endpoints::Endpoints;
use crate::launch::{Launch, unprivileged};
use crate::ports::{PortName, Ports};
use crate::{Service, StackError};

pub(super) fn launch(context: &Context) -> Result<Launch, StackError> {
    let user = unprivileged()?;
    context.data_of(Service::Registry, user.as_ref())?;
    let mut launch = context
        .java(Service::Registry, user)?
        .arg("-jar")
        .arg(context.options.servers.join("registry/quarkus-run.jar"));
    for (name, value) in environment(&context.endpoints, &context.ports) {
        launch = launch.env(name, value);
    }
    Ok(launch)
}

pub(super) fn environment(endpoints: &Endpoints, ports: &Ports) -> [(&'static str, String); 8] {
    let port = |name| ports.get(name).to_string();
    let own = String::from;
    [
        ("APICURIO_STORAGE_KIND", own("kafkasql")),
        ("APICURIO_KAFKASQL_BOOTSTRAP_SERVERS", endpoints.kafka.clone()),
        // The default of 5 s is waited for at every start.
        ("APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT", own("200")),
        ("QUARKUS_HTTP_HOST", own("127.0.0.1")),
        ("QUARKUS_HTTP_PORT", port(PortName::Registry)),
        // Without these it would take port 9000, on all interfaces.
        ("QUARKUS_MANAGEMENT_HOST", own("127.0.0.1")),
        ("QUARKUS_MANAGEMENT_PORT", port(PortName::RegistryAdmin)),
        // One line for each request.
        ("QUARKUS_HTTP_ACCESS_LOG_ENABLED", own("false")),
    ]
}
