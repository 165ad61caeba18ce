//! Bodies with a content coding: taken as if they had none, bounded on both sides, and refused with the way out.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::encoders::{deflate, gzip, zlib};
use crate::world::{Answer, NDJSON, PATIENCE, World, order, request, talk};

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(data, 3).unwrap()
}

/// What the header says, and who makes it.
type Form = (&'static str, fn(&[u8]) -> Vec<u8>);
const FORMS: [Form; 5] = [("gzip", gzip), ("x-gzip", gzip), ("deflate", zlib), ("Deflate", deflate), ("zstd", zstd)];

async fn post(world: &World, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let head = request("", headers).replace("content-length: 0", &format!("content-length: {}", body.len()));
    talk(world.app.address, &[head.as_bytes(), body].concat()).await.expect("an answer")
}

fn lines(prefix: &str, count: usize) -> String {
    (0..count).map(|line| order(&format!("{prefix}-{line}")) + "\n").collect()
}

/// Where the size was measured, and the numbers.
fn sizes(problem: &Value) -> Value {
    json!([problem["of"], problem["unit"], problem["limit"], problem["size"]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_coding_is_taken_for_an_order_and_for_a_batch() {
    let world = World::ready().await;
    for (index, (coding, encode)) in FORMS.into_iter().enumerate() {
        let single = order(&format!("single-{index}"));
        let answer = post(&world, &encode(single.as_bytes()), &[("content-encoding", coding)]).await;
        assert_eq!(answer.status, 202, "{coding}: {answer:?}");

        let batch = lines(&format!("lines-{index}"), 300);
        let answer = post(&world, &encode(batch.as_bytes()), &[NDJSON, ("content-encoding", coding)]).await;
        assert_eq!((answer.status, answer.receipts().len()), (207, 300), "{coding}: {answer:?}");
        assert!(answer.receipts().iter().all(|receipt| receipt["status"] == 202), "{coding}: {answer:?}");

        let array = format!(" [{},{}]", order(&format!("array-{index}-a")), order(&format!("array-{index}-b")));
        let answer = post(&world, &encode(array.as_bytes()), &[("content-encoding", coding)]).await;
        assert_eq!((answer.status, answer.receipts().len()), (207, 2), "{coding}: {answer:?}");
    }
    assert_eq!(world.stored().len(), FORMS.len() * 303);
}

/// A client that flushes its coder after a line has the line's receipt before it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coded_batch_is_decoded_as_it_comes() {
    let world = World::ready().await;
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    let head = request("", &[NDJSON, ("content-encoding", "gzip"), ("transfer-encoding", "chunked")]);
    stream.write_all(head.replace("content-length: 0\r\n", "").as_bytes()).await.unwrap();
    let (mut encoder, mut read) = (GzEncoder::new(Vec::new(), Compression::default()), String::new());
    for number in 0..3 {
        encoder.write_all(lines(&format!("stream-{number}"), 1).as_bytes()).unwrap();
        encoder.flush().unwrap();
        for piece in std::mem::take(encoder.get_mut()).chunks(11) {
            let piece = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            stream.write_all(&piece).await.unwrap();
        }
        while !read.contains(&format!("stream-{number}")) {
            let mut piece = [0; 4096];
            let more = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("a receipt in time");
            let more = more.unwrap();
            assert!(0 < more, "closed: {read}");
            read.push_str(&String::from_utf8_lossy(&piece[..more]));
        }
    }
    let last = encoder.finish().unwrap();
    let last = [format!("{:x}\r\n", last.len()).as_bytes(), &last, b"\r\n0\r\n\r\n"].concat();
    stream.write_all(&last).await.unwrap();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut read)).await.expect("an end in time").unwrap();
    assert!(read.starts_with("HTTP/1.1 207") && read.ends_with("0\r\n\r\n") && !read.contains("problem"), "{read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_what_its_coding_says_is_refused() {
    let world = World::ready().await;
    let plain = order("never");
    for (coding, encode) in FORMS {
        let whole = encode(plain.as_bytes());
        for (what, body) in [
            ("not coded", plain.as_bytes().to_vec()),
            ("nothing", Vec::new()),
            ("truncated", whole[..whole.len() - 1].to_vec()),
            ("with more behind it", [&whole[..], b"more of it"].concat()),
        ] {
            let answer = post(&world, &body, &[("content-encoding", coding)]).await;
            assert_eq!(answer.verdict(), (400, "no".into(), "pointless".into()), "{coding}, {what}: {answer:?}");
            assert_eq!(answer.json()["type"], "urn:orderflow:problem:undecodable", "{coding}, {what}");
        }
    }
    for codings in ["gzip, gzip", "br", "zstd, identity, deflate"] {
        let answer = post(&world, &gzip(plain.as_bytes()), &[("content-encoding", codings)]).await;
        assert_eq!(answer.verdict(), (415, "no".into(), "pointless".into()), "{codings}: {answer:?}");
        assert_eq!(answer.header("accept-encoding"), Some("gzip, deflate, zstd, identity"), "{answer:?}");
    }
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3][..], &[0; 100]].concat();
    let answer = post(&world, &window, &[("content-encoding", "zstd")]).await;
    assert!(answer.status == 400 && answer.text.contains("8388608") && answer.text.contains("134217728"), "{answer:?}");
    assert_eq!(world.stored().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sizes_of_an_order_have_the_limit() {
    let world = World::with(|config| (config.max_body_bytes, config.max_batch_bytes) = (4096, 16_384)).await;
    let padded = |id: &str, size: usize| order(id) + &" ".repeat(size - order(id).len());
    for (index, (coding, encode)) in FORMS.into_iter().enumerate() {
        let headers = [("content-encoding", coding)];
        let fits = post(&world, &encode(padded(&format!("fits-{index}"), 4096).as_bytes()), &headers).await;
        assert_eq!(fits.status, 202, "{coding}: {fits:?}");
        let bomb = post(&world, &encode(padded("bomb", 3_000_000).as_bytes()), &headers).await;
        assert_eq!(bomb.verdict(), (413, "no".into(), "pointless".into()), "{coding}: {bomb:?}");
        assert_eq!(sizes(&bomb.json()), json!(["decoded", "bytes", 4096, null]), "{coding}");
    }
    // Members without anything in them, so that only the wire is too large.
    let empty = [gzip(b"").repeat(300), gzip(order("wire").as_bytes())].concat();
    let announced = post(&world, &empty, &[("content-encoding", "gzip")]).await;
    assert_eq!(announced.status, 413, "{announced:?}");
    assert_eq!(
        sizes(&announced.json()),
        json!(["wire", "bytes", 4096, null]),
        "the first 4096 bytes decode to nothing"
    );
    let late = [gzip(order("wire").as_bytes()), gzip(b"").repeat(300)].concat();
    let announced = post(&world, &late, &[("content-encoding", "gzip")]).await;
    assert_eq!(sizes(&announced.json()), json!(["wire", "bytes", 4096, late.len()]), "{announced:?}");
    assert_eq!(world.stored().len(), FORMS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coded_batch_that_goes_wrong_keeps_the_receipts_before() {
    let world = World::with(|config| (config.max_body_bytes, config.max_batch_bytes) = (1024, 16_384)).await;
    let long = format!("{}\n{}\n", order("before"), order("long") + &" ".repeat(2000));
    for (index, (coding, encode)) in FORMS.into_iter().enumerate() {
        let headers = [NDJSON, ("content-encoding", coding)];
        let batch = lines(&format!("bomb-{index}"), 3_000);
        let limit = batch[..16_384].matches('\n').count();
        let receipts = post(&world, &encode(batch.as_bytes()), &headers).await.receipts();
        let (last, taken) = receipts.split_last().unwrap();
        assert_eq!(last["type"], "urn:orderflow:problem:batch-too-large", "{coding}");
        assert_eq!(sizes(last), json!(["decoded", "bytes", 16_384, 16_385]), "{coding}");
        assert_eq!((taken.len(), &last["line"]), (limit, &json!(limit + 1)), "{coding}: the lines within the limit");
        assert!(taken.iter().all(|receipt| receipt["status"] == 202), "{coding}");

        let whole = encode(lines(&format!("cut-{index}"), 2).as_bytes());
        let receipts = post(&world, &whole[..whole.len() - 1], &headers).await.receipts();
        assert_eq!(receipts.last().unwrap()["type"], "urn:orderflow:problem:undecodable", "{coding}: {receipts:?}");

        let receipts = post(&world, &encode(long.as_bytes()), &headers).await.receipts();
        assert_eq!((receipts.len(), &receipts[0]["status"]), (2, &json!(202)), "{coding}: {receipts:?}");
        assert_eq!(sizes(&receipts[1]), json!(["decoded", "bytes", 1024, 2000 + order("long").len()]), "{coding}");
    }
    // More than one order may have, so that it is known as a batch on both sides.
    let elements: Vec<String> = (0..30).map(|element| order(&format!("element-{element}"))).collect();
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(format!("[{}]", elements.join(",")).as_bytes()).unwrap();
    let receipts = post(&world, &stored.finish().unwrap(), &[("content-encoding", "gzip")]).await.receipts();
    assert_eq!((receipts.len(), &receipts[29]["status"]), (30, &json!(202)), "{receipts:?}");
    let wide = post(&world, &vec![0; 16_385], &[NDJSON, ("content-encoding", "zstd")]).await;
    assert_eq!((wide.status, &wide.json()["type"]), (400, &json!("urn:orderflow:problem:undecodable")), "{wide:?}");
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(&[b' '; 16_380]).unwrap();
    let wide = post(&world, &stored.finish().unwrap(), &[NDJSON, ("content-encoding", "gzip")]).await;
    assert_eq!((wide.status, &wide.json()["of"]), (413, &json!("wire")), "{wide:?}");
}

/// It has not come to the end of its body, and would see a reset if nobody read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refusal_of_a_coded_body_reaches_a_client_that_still_writes() {
    let world = World::ready().await;
    for (headers, status) in [
        (&[("content-encoding", "gzip")][..], "400"),
        (&[NDJSON, ("content-encoding", "zstd")], "400"),
        (&[("content-encoding", "br")], "415"),
    ] {
        let body = vec![b'x'; 800_000];
        let head = request("", headers).replace("content-length: 0", &format!("content-length: {}", body.len()));
        let mut stream = TcpStream::connect(world.app.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        for piece in body.chunks(100_000) {
            stream.write_all(piece).await.expect("the edge takes what is written");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let mut answer = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("an answer in time").expect("an answer and no reset");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}
