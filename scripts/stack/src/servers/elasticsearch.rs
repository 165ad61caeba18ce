//! Elasticsearch, one node. Its `bin/elasticsearch` is a launcher; the server is the launcher's child.

use std::fs;

use super::Context;
use crate::launch::{Launch, unprivileged};
use crate::ports::{PortName, Ports};
use crate::{Service, StackError, user};

/// Lines of the shipped `jvm.options` that we leave out: a module that not every JDK has, files in the working folder
/// that grow, and a heap's whole content on the disk each time that it was too small.
const UNWANTED: [&str; 4] = ["jdk.incubator.vector", "-Xlog:gc", "-XX:ErrorFile", "HeapDumpOnOutOfMemoryError"];

pub(super) fn launch(context: &Context) -> Result<Launch, StackError> {
    let service = Service::Elasticsearch;
    let home = context.options.servers.join("elasticsearch");
    let user = unprivileged()?;
    let data = context.data_of(service, user.as_ref())?;
    let shipped = home.join("config/jvm.options");
    let jvm = fs::read_to_string(&shipped).map_err(StackError::file("read", &shipped))?;
    context.write_config(service, "jvm.options", &jvm_options(&jvm))?;
    context.write_config(service, "log4j2.properties", LOG4J)?;
    context.write_config(service, "elasticsearch.yml", &settings(&context.ports, &data.display().to_string()))?;
    let config = context.layout.config(service);
    // It writes a keystore there.
    user::give(&config, user.as_ref())?;
    let java = context.java_home()?.display().to_string();
    let scratch = context.scratch_of(service, user.as_ref())?.display().to_string();
    let heap = context.options.heap_mb;
    let fast = if context.options.fast_jvm { " -XX:TieredStopAtLevel=1" } else { "" };
    Ok(Launch::new(home.join("bin/elasticsearch"), &data)
        .env("ES_JAVA_HOME", java)
        .env("ES_PATH_CONF", config.display().to_string())
        .env("ES_JAVA_OPTS", format!("-Xms{heap}m -Xmx{heap}m{fast}"))
        // The shipped options make it the server's java.io.tmpdir.
        .env("ES_TMPDIR", scratch)
        .env("CLI_JAVA_OPTS", "-Xmx32m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .run_as(user))
}

fn jvm_options(shipped: &str) -> String {
    let kept = shipped.lines().filter(|line| !UNWANTED.iter().any(|unwanted| line.contains(unwanted)));
    kept.flat_map(|line| [line, "\n"]).collect()
}

pub(super) fn settings(ports: &Ports, data: &str) -> String {
    let (http, node) = (ports.get(PortName::Elasticsearch), ports.get(PortName::ElasticsearchNode));
    format!(
        "\
cluster.name: orderflow
discovery.type: single-node
http.host: 127.0.0.1
http.port: {http}
transport.host: 127.0.0.1
transport.port: {node}
path.data: {data}/data
path.logs: {data}/logs
xpack.security.enabled: false
# else vm.max_map_count is asked for
node.store.allow_mmap: false
# an index is made by the deploy step, with its mapping, or not at all
action.auto_create_index: false
# `up` looks at the disk; a share of it that a developer's machine has long passed must not make indexes read-only
cluster.routing.allocation.disk.threshold_enabled: false
"
    )
}

/// To standard output, which the supervisor keeps in a file.
const LOG4J: &str = "\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_small_jdks_lack_and_what_fills_disks_is_not_asked_for() {
        let kept = jvm_options(
            "-XX:+UseG1GC\n20-:--add-modules=jdk.incubator.vector\n-Xlog:gc*:file=gc.log\n-XX:+HeapDumpOnOutOfMemoryError\n",
        );
        assert_eq!(kept, "-XX:+UseG1GC\n");
    }

    #[test]
    fn indexes_are_never_made_by_a_write() {
        let text = settings(&Ports::default(), "/d");
        assert!(text.contains("action.auto_create_index: false\n") && text.contains("http.host: 127.0.0.1\n"));
    }
}
