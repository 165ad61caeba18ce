//! The broker: broker and controller in one process, formatted once. Topics are the deploy step's.

use super::{Context, LOG4J};
use crate::endpoints::HOST;
use crate::launch::{Launch, unprivileged};
use crate::ports::{PortName, Ports};
use crate::{Service, StackError};

/// Any id will do for one node; one that never changes lets data move between folders.
pub(super) const CLUSTER_ID: &str = "b3JkZXJmbG93LXN0YWNrMQ";

pub(super) fn launch(context: &Context) -> Result<Launch, StackError> {
    let user = unprivileged()?;
    let data = context.data_of(Service::Kafka, user.as_ref())?;
    let properties = context.write_config(
        Service::Kafka,
        "server.properties",
        &with_doors(
            &properties(&context.ports, &data.display().to_string()),
            &context.endpoints.kafka_doors,
            &context.options.kafka_doors,
        ),
    )?;
    let logging = context.write_config(Service::Kafka, "log4j2.properties", LOG4J)?;
    let classes = context.options.servers.join("kafka/*");
    let java = |class: &str| {
        Ok::<_, StackError>(
            context
                .java(Service::Kafka, user.clone())?
                .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
                .arg("-cp")
                .arg(&classes)
                .arg(class),
        )
    };
    if !data.join("meta.properties").exists() {
        let format =
            java("kafka.tools.StorageTool")?.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(&properties);
        without_archive(format).run(context.layout.dir())?;
    }
    Ok(java("kafka.Kafka")?.arg(properties))
}

/// The tool's classes are few; they must not become the broker's archive.
fn without_archive(mut launch: Launch) -> Launch {
    launch.arguments.retain(|argument| !argument.to_string_lossy().starts_with("-XX:ArchiveClassesAtExit"));
    launch
}

pub(super) fn properties(ports: &Ports, data: &str) -> String {
    let (broker, controller) = (ports.get(PortName::Kafka), ports.get(PortName::KafkaController));
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
# one broker
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# a process that was killed holds its partitions until its transaction has timed out and this comes round; else it
# comes round every 10 s
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# a topic is made by the deploy step, with its partitions, or not at all
auto.create.topics.enable=false
# an outage of any length must not lose a position
offsets.retention.minutes=525600
"
    )
}

/// A listener more for each door, which sends its clients to another port than its own: a client goes where the broker
/// says that it is.
fn with_doors(properties: &str, listeners: &[String], advertised: &[u16]) -> String {
    let names = || (1..).zip(listeners).map(|(number, address)| (format!("DOOR{number}"), address));
    let more = |line: &str| match line.split_once('=').map_or("", |(name, _)| name) {
        "listeners" => names().map(|(name, address)| format!(",{name}://{address}")).collect(),
        "advertised.listeners" => {
            names().zip(advertised).map(|((name, _), port)| format!(",{name}://{HOST}:{port}")).collect()
        }
        "listener.security.protocol.map" => names().map(|(name, _)| format!(",{name}:PLAINTEXT")).collect(),
        _ => String::new(),
    };
    properties.lines().map(|line| format!("{line}{}\n", more(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_listens_on_loopback_only_and_keeps_positions_for_a_year() {
        let text = properties(&Ports::default(), "/d");
        assert!(text.contains("listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"));
        assert!(
            text.contains("offsets.retention.minutes=525600\n") && text.contains("auto.create.topics.enable=false\n")
        );
    }

    #[test]
    fn a_door_is_a_listener_that_sends_its_clients_elsewhere() {
        let usual = properties(&Ports::default(), "/d");
        assert_eq!(with_doors(&usual, &[], &[]), usual);
        let text = with_doors(&usual, &["127.0.0.1:9094".to_owned()], &[40_000]);
        assert!(
            text.contains(
                "\nlisteners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093,DOOR1://127.0.0.1:9094\n"
            )
        );
        assert!(text.contains("\nadvertised.listeners=PLAINTEXT://127.0.0.1:9092,DOOR1://127.0.0.1:40000\n"));
        assert!(text.contains("PLAINTEXT:PLAINTEXT,DOOR1:PLAINTEXT\n"));
    }
}
