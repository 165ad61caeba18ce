//! The Kafka Connect worker with the sinks' plugins. Connectors are the deploy step's.

use super::{Context, LOG4J};
use crate::endpoints::{Endpoints, HOST};
use crate::launch::{Launch, unprivileged};
use crate::ports::PortName;
use crate::{Service, StackError};

/// What connector files may read of the worker's environment, as `${env:NAME}`; nothing else.
const ALLOWED_ENVIRONMENT: [&str; 4] =
    ["POSTGRES_JDBC_URL", "POSTGRES_USER", "POSTGRES_PASSWORD", "ELASTICSEARCH_HOST"];

pub(super) fn launch(context: &Context) -> Result<Launch, StackError> {
    let user = unprivileged()?;
    context.data_of(Service::Connect, user.as_ref())?;
    let shipped = context.options.servers.join("plugins");
    let plugins: Vec<String> =
        std::iter::once(&shipped).chain(&context.options.plugins).map(|folder| folder.display().to_string()).collect();
    let text = properties(&context.endpoints, context.ports.get(PortName::Connect), &plugins.join(","));
    let properties = context.write_config(Service::Connect, "worker.properties", &text)?;
    let logging = context.write_config(Service::Connect, "log4j2.properties", LOG4J)?;
    let mut launch = context
        .java(Service::Connect, user)?
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        // Else Camel's Elasticsearch component searches all jars for it, twice a document.
        .arg("-Djakarta.json.provider=org.eclipse.parsson.JsonProviderImpl")
        .arg("-cp")
        .arg(context.options.servers.join("kafka/*"))
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(properties);
    for (name, value) in context.endpoints.environment() {
        if ALLOWED_ENVIRONMENT.contains(&name.as_str()) {
            launch = launch.env(&name, value);
        }
    }
    Ok(launch)
}

pub(super) fn properties(endpoints: &Endpoints, port: u16, plugins: &str) -> String {
    let kafka = &endpoints.kafka;
    let registry = endpoints.registry.trim_end_matches("/ccompat/v7");
    let allowed = ALLOWED_ENVIRONMENT.join("|");
    format!(
        "\
bootstrap.servers={kafka}
group.id=connect
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
# as many as the brokers say
config.storage.replication.factor=-1
offset.storage.replication.factor=-1
status.storage.replication.factor=-1
listeners=http://{HOST}:{port}
plugin.path={plugins}
# every plugin has its manifest: written once after unpacking
plugin.discovery=service_load
# a killed worker's tasks run again in seconds; the defaults wait up to five minutes
session.timeout.ms=6000
heartbeat.interval.ms=1500
scheduled.rebalance.max.delay.ms=0
consumer.session.timeout.ms=6000
consumer.heartbeat.interval.ms=1500
# a task that hangs, as in the converter, which waits for a registry's answer without a time-out, stays a member of its sink's
# group after it was restarted, and the others wait for it so long; the default is five minutes
consumer.max.poll.interval.ms=120000
# only what was committed is delivered
consumer.isolation.level=read_committed
# records of up to 4 MiB
consumer.max.partition.fetch.bytes=4194304
producer.max.request.size=4259840
key.converter=org.apache.kafka.connect.storage.StringConverter
header.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=io.apicurio.registry.utils.converter.AvroConverter
value.converter.apicurio.registry.url={registry}/registry/v2
value.converter.apicurio.registry.as-confluent=true
value.converter.apicurio.registry.use-id=contentId
# a schema id never changes; the default asks again every 30 s, without a time-out
value.converter.apicurio.registry.check-period-ms=86400000
value.converter.apicurio.registry.fault-tolerant-refresh=true
# a failed put shows within this time
offset.flush.interval.ms=1000
# the healer narrows a batch to one record; a sink's file says itself that it reads what was committed
connector.client.config.override.policy=Allowlist
connector.client.config.override.allowlist=max.poll.records,isolation.level
# addresses and secrets of the connector files
config.providers=env
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern={allowed}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Ports;

    #[test]
    fn the_worker_reads_committed_data_and_connector_files_see_four_variables() {
        let endpoints = Endpoints::new(&Ports::default(), "pass-1234".to_owned());
        let text = properties(&endpoints, 8083, "/p");
        assert!(text.contains("consumer.isolation.level=read_committed\n"));
        assert!(text.contains("apicurio.registry.url=http://127.0.0.1:8085/apis/registry/v2\n"));
        assert!(text.contains("pattern=POSTGRES_JDBC_URL|POSTGRES_USER|POSTGRES_PASSWORD|ELASTICSEARCH_HOST\n"));
        assert!(!text.contains("pass-1234"));
    }
}
