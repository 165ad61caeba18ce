use http_body_util::BodyExt;

use super::*;
use crate::publish::Permits;

const PATIENCE: Duration = Duration::from_millis(300);

/// Both ends, with the memory of all.
fn ends() -> (Writer, Receipts, Permits) {
    let permits = Permits::new(1, 100_000);
    let (writer, receipts) = channel(permits.take(0).unwrap(), PATIENCE);
    (writer, receipts, permits)
}

#[tokio::test]
async fn what_is_written_is_read_in_order_and_in_pieces_that_are_not_large() {
    let (mut writer, mut receipts, _) = ends();
    writer.write(&vec![b'a'; FRAME]);
    writer.write(b"b");
    assert_eq!(writer.waiting(), FRAME + 1);
    writer.finish();
    let mut read = async || receipts.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
    assert_eq!(read().await.unwrap().len(), FRAME);
    assert_eq!(read().await.unwrap(), "b");
    assert_eq!(read().await, None);
}

#[tokio::test]
async fn receipts_without_an_end_are_an_error_and_not_an_end() {
    let (writer, mut receipts, permits) = ends();
    writer.write(b"a");
    drop(writer);
    assert_eq!(permits.taken().0, 1, "what waits keeps its memory");
    assert!(receipts.frame().await.unwrap().is_ok());
    assert!(receipts.frame().await.unwrap().is_err());
    assert_eq!(permits.taken().0, 0);
}

#[tokio::test]
async fn the_writer_learns_that_nobody_reads() {
    let (mut writer, receipts, permits) = ends();
    drop(receipts);
    writer.changed(true).await;
    writer.write(b"a");
    assert_eq!((writer.is_gone(), writer.waiting()), (true, 0));
    assert!(writer.cover(10), "for refusals that have no receipt yet");
    drop(writer);
    assert_eq!(permits.taken(), (0, 0));
}

/// Many clients that read nothing must not make finished batches pile up without a bound.
#[tokio::test]
async fn receipts_that_wait_keep_their_memory_when_the_batch_has_ended() {
    let (mut writer, mut receipts, permits) = ends();
    assert!(writer.cover(2 * FRAME) && !writer.cover(100_001));
    writer.write(&vec![b'a'; 2 * FRAME]);
    writer.finish();
    drop(writer);
    assert_eq!(permits.taken(), (1, 2 * FRAME));
    receipts.frame().await.unwrap().unwrap();
    assert_eq!(permits.taken(), (1, 2 * FRAME));
    receipts.frame().await.unwrap().unwrap();
    assert!(receipts.frame().await.is_none());
    assert_eq!(permits.taken(), (0, 0), "all was read");

    let (mut writer, receipts, permits) = ends();
    writer.write(b"a");
    writer.finish();
    drop(writer);
    assert_eq!(permits.taken().0, 1);
    drop(receipts);
    assert_eq!(permits.taken().0, 0, "nobody reads");
}

/// It reads a little now and then, which keeps its connection open.
#[tokio::test]
async fn a_client_that_leaves_no_room_is_given_up_in_time_however_it_trickles() {
    let (mut writer, mut receipts, permits) = ends();
    writer.write(&vec![b'a'; 1000 * FRAME]);
    let trickle = async {
        loop {
            let Some(Ok(_)) = receipts.frame().await else { break };
            tokio::time::sleep(PATIENCE / 10).await;
        }
    };
    let begun = Instant::now();
    let write = async {
        while !writer.is_gone() {
            writer.changed(false).await;
        }
        assert!((PATIENCE..20 * PATIENCE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert_eq!((writer.waiting(), permits.taken().0), (0, 0), "nothing is kept for it");
    };
    tokio::time::timeout(100 * PATIENCE, async { tokio::join!(write, trickle) }).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_room_is_not_given_up_and_what_it_kept_us_waiting_adds_up() {
    let patience = Duration::from_secs(1);
    let (mut writer, _receipts) = channel(Permits::new(1, 0).take(0).unwrap(), patience);
    for _ in 0..2 {
        let _ = tokio::time::timeout(patience * 2 / 5, writer.changed(false)).await;
        drop(writer.changed(true)); // something else came first
        tokio::time::sleep(patience).await;
    }
    assert!(!writer.is_gone(), "it kept us waiting for parts of the time, and each time there was room then");
    let begun = Instant::now();
    while !writer.is_gone() {
        writer.changed(false).await;
    }
    assert!(begun.elapsed() < patience / 2, "{:?} are left", begun.elapsed());
}

#[tokio::test]
async fn what_waits_at_the_end_must_be_read_in_time() {
    let (mut writer, mut receipts, permits) = ends();
    writer.write(&vec![b'a'; FRAME + 1]);
    writer.finish();
    receipts.frame().await.unwrap().unwrap();
    tokio::time::timeout(100 * PATIENCE, writer.read()).await.unwrap();
    assert_eq!(permits.taken().0, 0);
    assert!(receipts.frame().await.unwrap().is_err(), "it must not take what it has for all there is");

    let (mut writer, mut receipts, _) = ends();
    writer.write(b"a");
    writer.finish();
    let read = async { (receipts.frame().await.unwrap().is_ok(), receipts.frame().await.is_none()) };
    assert_eq!(tokio::join!(read, writer.read()).0, (true, true));
}
