//! What is asked of PostgreSQL, and what its refusals are told as, against a server that speaks just enough of the protocol.

use std::sync::{Arc, Mutex};

use connectors::apply::Change;
use connectors::config;
use connectors::files::Table;
use connectors::postgres::Postgres;
use connectors::retry::Transient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind][..], &length, body].concat()
}

pub(crate) async fn read(stream: &mut TcpStream, head: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; head];
    stream.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(*bytes.last_chunk::<4>()?);
    let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Where it is, and the statements that it was given. With a code it refuses the first of them, without it takes all.
async fn server(code: &'static str) -> (Postgres, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let serve = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let refusal = [b"SERROR\0VERROR\0C", code.as_bytes(), b"\0Mno\0\0"].concat();
        read(&mut stream, 4).await.unwrap();
        stream.write_all(&[message(b'R', &[0; 4]), message(b'Z', b"I")].concat()).await.unwrap();
        while let Some(body) = read(&mut stream, 5).await {
            seen.lock().unwrap().push(String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned());
            let answer = if code.is_empty() { message(b'C', b"SELECT 0\0") } else { message(b'E', &refusal) };
            stream.write_all(&[answer, message(b'Z', b"I")].concat()).await.unwrap();
        }
    };
    service_kit::Tasks::new().spawn(serve);
    let settings = config::Postgres {
        host: "127.0.0.1".to_owned(),
        port,
        db: "orders".to_owned(),
        user: "orders".to_owned(),
        password: String::new().into(),
    };
    (Postgres::new(&settings), asked)
}

#[tokio::test]
async fn a_wrong_password_names_the_way_out() {
    for code in ["28P01", "28000"] {
        let (postgres, _) = server(code).await;
        let err = postgres.probe(None).await.unwrap_err();
        let told = err.to_string();
        assert!(!err.is_transient() && told.contains("POSTGRES_PASSWORD") && told.contains("stack env"), "{told}");
    }
}

#[tokio::test]
async fn a_deadlock_is_asked_again_and_a_broken_statement_is_not() {
    for (code, transient) in [("40P01", true), ("42601", false)] {
        let (postgres, _) = server(code).await;
        assert_eq!(postgres.probe(None).await.unwrap_err().is_transient(), transient, "{code}");
    }
}

#[tokio::test]
async fn a_table_is_changed_by_one_deploy_step_at_a_time() {
    let (postgres, asked) = server("").await;
    let table = Table { name: "t".to_owned(), sql: "create table t ()".to_owned() };
    assert_eq!(postgres.apply(&table).await.unwrap(), Change::Created);
    let asked = asked.lock().unwrap();
    assert!(asked[0].contains("pg_advisory_lock(") && asked[0].contains("lock_timeout"), "{asked:?}");
    assert!(asked[1..].contains(&table.sql), "{asked:?}");
}
