//! A server of a test's own making: requests as they come, and answers that the test gives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request, as far as it matters here.
pub(crate) struct Request {
    /// `METHOD /path?query`; empty where the caller has gone without a word.
    pub(crate) asked: String,
    /// The content type.
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
}

/// Answers `METHOD /path?query`, one after the other, until the test ends. Gives its address.
pub(crate) fn start(answers: impl FnMut(&str) -> (u16, Value) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(Mutex::new(answers));
    std::thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // A client may connect before it has anything to ask.
            std::thread::spawn(move || {
                let Some(request) = heard(&caller).ok().filter(|request| !request.asked.is_empty()) else { return };
                let (status, body) = (*answers.lock().unwrap())(&request.asked);
                answer(&caller, status, &body);
            });
        }
    });
    format!("http://{address}")
}

fn answer(mut caller: &TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} As told\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    // Who was killed meanwhile does not hear it.
    let _ = caller.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes());
}

/// The next request, whole.
pub(crate) fn heard(caller: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(caller);
    let (mut first, mut line) = (String::new(), String::new());
    let (mut length, mut kind) = (0, String::new());
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.trim().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "content-type" => value.clone_into(&mut kind),
                _ => {}
            }
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = first.rsplit_once(' ').map_or_else(String::new, |(asked, _)| asked.to_owned());
    Ok(Request { asked, kind, body })
}
