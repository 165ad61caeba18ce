//! Whether a server can do its work: each is asked for something that only works when it is ready. Never a bare connect.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::endpoints::Endpoints;
use crate::{Service, http};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How [`ready`]'s words begin when the server answers that it is broken; 503 is a server that starts.
pub(crate) const SERVER_ERROR: &str = "answers 500";

/// Asks once. The error says what is missing, in a few words for the progress line.
pub(crate) fn ready(service: Service, endpoints: &Endpoints) -> Result<(), String> {
    match service {
        Service::Kafka => kafka(&endpoints.kafka),
        Service::Postgres => postgres(&format!("{}:{}", endpoints.postgres.host, endpoints.postgres.port)),
        Service::Registry => http_ok(&format!("{}/subjects", endpoints.registry)),
        Service::Connect => http_ok(&format!("{}/health", endpoints.connect)),
        Service::Elasticsearch => {
            http_ok(&format!("{}/_cluster/health?wait_for_status=yellow&timeout=2s", endpoints.elasticsearch))
        }
        // Ready to be deployed to. Whether orders can flow is asked after the deploy step: see `deploy.rs`.
        Service::Edge => http_ok(&format!("{}/healthz", endpoints.edge_admin)),
        Service::Transforms => http_ok(&format!("{}/healthz", endpoints.transforms)),
        Service::Connectors => http_ok(&format!("{}/healthz", endpoints.connectors)),
    }
}

/// 200, or what came instead.
pub(crate) fn http_ok(url: &str) -> Result<(), String> {
    match http::get(url, TIMEOUT) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("answers {}", answer.status)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err("does not listen yet".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let address: SocketAddr = address.parse().map_err(|_| format!("no address: {address}"))?;
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "does not listen yet".to_owned(),
        _ => error.to_string(),
    })?;
    let limits = stream.set_read_timeout(Some(TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(TIMEOUT)));
    limits.map_err(|error| error.to_string())?;
    Ok(stream)
}

/// A Metadata request of version 4 for no topic: ready when the answer lists a broker. While a broker is
/// fenced, the port is open and the list is empty.
fn kafka(address: &str) -> Result<(), String> {
    const REQUEST: [u8; 24] = [
        0, 0, 0, 20, // length of what follows
        0, 3, 0, 4, // api key, version
        0, 0, 0, 1, // correlation id
        0, 5, b's', b't', b'a', b'c', b'k', // client id
        0, 0, 0, 0, // no topics
        0, // and make none
    ];
    let mut stream = connect(address)?;
    let mut head = [0_u8; 16]; // length, correlation id, throttle time, number of brokers
    stream.write_all(&REQUEST).and_then(|()| stream.read_exact(&mut head)).map_err(|error| error.to_string())?;
    let [.., a, b, c, d] = head;
    if i32::from_be_bytes([a, b, c, d]) < 1 {
        return Err("has no broker in its metadata yet".to_owned());
    }
    Ok(())
}

/// A start-up message: ready when a password is asked for. While it recovers, the answer is an error.
fn postgres(address: &str) -> Result<(), String> {
    const STARTUP: &[u8] = b"\x00\x00\x00\x25\x00\x03\x00\x00user\0orders\0database\0orders\0\0";
    let mut stream = connect(address)?;
    let mut kind = [0_u8; 1];
    stream.write_all(STARTUP).and_then(|()| stream.read_exact(&mut kind)).map_err(|error| error.to_string())?;
    if kind == *b"R" { Ok(()) } else { Err("recovers".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// One answer to whoever connects.
    fn answering(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0_u8; 64];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        });
        address
    }

    #[test]
    fn a_broker_without_brokers_in_its_metadata_is_not_ready() {
        let fenced = answering(&[0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(kafka(&fenced).unwrap_err().contains("no broker"));
        let ready = answering(&[0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(kafka(&ready), Ok(()));
    }

    #[test]
    fn a_database_that_recovers_is_not_ready() {
        assert_eq!(postgres(&answering(b"E....57P03")), Err("recovers".to_owned()));
        assert_eq!(postgres(&answering(b"R....")), Ok(()));
    }

    #[test]
    fn the_startup_message_tells_its_own_length() {
        const STARTUP: &[u8] = b"\x00\x00\x00\x25\x00\x03\x00\x00user\0orders\0database\0orders\0\0";
        assert_eq!(STARTUP.len(), 0x25);
    }
}
