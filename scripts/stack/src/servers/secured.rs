//! One broker that asks everybody who they are: logins by SCRAM over TLS, certificates of both sides, and rights by an
//! authorizer. For tests of those; no part of a stack. It ends when its value does, or with the thread that started it.

use std::path::Path;

use super::alone::{wait_until_started, with_settings};
use super::{Context, kafka};
use crate::endpoints::HOST;
use crate::launch::{Launch, unprivileged};
use crate::ports::{Block, PortName, take_free_block};
use crate::user::{self, User};
use crate::{Service, StackError};

/// What it shows and whom it knows.
#[derive(Debug)]
pub struct Identity<'a> {
    /// Its key and certificate, both in PEM form; made out to `localhost`.
    pub keystore: &'a str,
    /// The authority that must have signed a client's certificate, in PEM form.
    pub clients: &'a str,
    /// Users by SCRAM-SHA-512, with their passwords.
    pub users: &'a [(&'a str, &'a str)],
}

/// The running broker.
pub struct SecuredKafka {
    context: Context,
    process: std::process::Child,
    user: Option<User>,
    _block: Block,
}

/// Heap in MB.
const HEAP_MB: u32 = 512;

impl SecuredKafka {
    /// Starts it in a folder that is emptied first, and waits until it serves.
    ///
    /// # Errors
    /// If something is missing, or it does not come up.
    pub fn start(dir: &Path, identity: &Identity<'_>) -> Result<Self, StackError> {
        let block = take_free_block()?;
        let context = Context::alone(dir, HEAP_MB, block.ports.clone())?;
        let user = unprivileged()?;
        let launch = context.secured(identity, user.as_ref())?;
        let log = context.layout.log(Service::Kafka);
        let process = launch.spawn_here(context.layout.dir(), &log)?;
        let mut broker = Self { context, process, user, _block: block };
        wait_until_started(&mut broker.process, &log)?;
        Ok(broker)
    }

    /// Where everybody may do everything; for the test itself.
    #[must_use]
    pub fn open(&self) -> String {
        format!("{HOST}:{}", self.context.ports.get(PortName::Kafka))
    }

    /// Where users log in, over TLS.
    #[must_use]
    pub fn sasl_ssl(&self) -> String {
        format!("localhost:{}", self.context.ports.get(PortName::Connect))
    }

    /// Where clients show a certificate.
    #[must_use]
    pub fn ssl(&self) -> String {
        format!("localhost:{}", self.context.ports.get(PortName::Registry))
    }

    /// `kafka-acls.sh` with these arguments; the address it is told itself.
    ///
    /// # Errors
    /// If it fails; its last words are in the error.
    pub fn acls(&self, arguments: &[&str]) -> Result<(), StackError> {
        let mut all = vec!["--bootstrap-server".to_owned(), self.open()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let java = self.context.kafka_java(self.user.clone(), "org.apache.kafka.tools.AclCommand")?;
        java.args(all).run(self.context.layout.dir())
    }
}

impl std::fmt::Debug for SecuredKafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecuredKafka").field("open", &self.open()).finish_non_exhaustive()
    }
}

impl Drop for SecuredKafka {
    fn drop(&mut self) {
        // Its data are of no use to anybody.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Context {
    /// Makes what is missing on disk and says how to start it.
    fn secured(&self, identity: &Identity<'_>, user: Option<&User>) -> Result<Launch, StackError> {
        let data = self.data_of(Service::Kafka, user)?;
        let write = |name: &str, text: &str| {
            let path = self.write_config(Service::Kafka, name, text)?;
            user::give(&path, user).map(|()| path)
        };
        let keystore = write("keystore.pem", identity.keystore)?;
        let clients = write("clients.pem", identity.clients)?;
        let properties = write("server.properties", &properties(&self.ports, &data, &keystore, &clients))?;
        let mut format = self.kafka_java(user.cloned(), "kafka.tools.StorageTool")?;
        format = format.args(["format", "--standalone", "-t", kafka::CLUSTER_ID, "-c"]).arg(&properties);
        for (name, password) in identity.users {
            format = format.arg("--add-scram").arg(format!("SCRAM-SHA-512=[name={name},password={password}]"));
        }
        format.run(self.layout.dir())?;
        Ok(self.kafka_java(user.cloned(), "kafka.Kafka")?.arg(properties))
    }
}

/// The usual broker's, with other listeners in front of it. It needs no ports of Connect and the registry, so it takes
/// theirs of the block.
fn properties(ports: &crate::ports::Ports, data: &Path, keystore: &Path, clients: &Path) -> String {
    let usual = kafka::properties(ports, &data.display().to_string());
    let [open, controller, login, certificate] =
        [PortName::Kafka, PortName::KafkaController, PortName::Connect, PortName::Registry].map(|name| ports.get(name));
    let own = format!(
        "\
listeners=OPEN://{HOST}:{open},CONTROLLER://{HOST}:{controller},LOGIN://{HOST}:{login},CERTIFICATE://{HOST}:{certificate}
advertised.listeners=OPEN://{HOST}:{open},LOGIN://localhost:{login},CERTIFICATE://localhost:{certificate}
listener.security.protocol.map=OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,CERTIFICATE:SSL
inter.broker.listener.name=OPEN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={clients}
listener.name.certificate.ssl.client.auth=required
listener.name.login.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.login.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
",
        keystore = keystore.display(),
        clients = clients.display(),
    );
    with_settings(&usual, &own)
}
