//! Members and assignments as the broker tells them, and groups that it hides.

use super::*;

#[test]
fn an_assignment_is_read_and_a_broken_one_is_none() {
    let bytes = [&[0, 1, 0, 0, 0, 1, 0, 2][..], b"ab", &[0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 0]].concat();
    assert_eq!(assigned(&bytes), Some(vec![spot("ab", 5), spot("ab", 7)]));
    for cut in 0..bytes.len() - 4 {
        assert_eq!(assigned(&bytes[..cut]), None, "cut at {cut}");
    }
}

#[test]
fn a_static_members_name_is_its_id_without_the_brokers_part() {
    for (id, name) in [
        ("healer-b-5d3f1a52-8c4b-4f0e-9a43-5f6c1d2e3f40", "healer-b"),
        ("é-5d3f1a52-8c4b-4f0e-9a43-5f6c1d2e3f40", "é"),
        ("5d3f1a52-8c4b-4f0e-9a43-5f6c1d2e3f40", "5d3f1a52-8c4b-4f0e-9a43-5f6c1d2e3f40"),
        ("healer", "healer"),
        ("", ""),
    ] {
        assert_eq!(instance(id), name);
    }
}

#[test]
fn a_group_that_we_may_not_describe_is_not_one_that_nobody_is_in() {
    use rdkafka::types::RDKafkaApiKey::FindCoordinator;
    use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as REFUSED;
    let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let servers: Brokers = cluster.bootstrap_servers().into();
    let look = || Reader::new(&servers, "g").and_then(|reader| reader.not_hidden("t"));
    // A machine that is busy may be late.
    let until = |awaited: fn(&Result<(), KafkaError>) -> bool| {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let told = look();
            if awaited(&told) || end < Instant::now() {
                return told;
            }
        }
    };
    until(Result::is_ok).unwrap();
    cluster.request_errors(FindCoordinator, &[REFUSED; 1_000]);
    let told = until(|told| !matches!(told, Err(KafkaError::Client { .. }))).unwrap_err();
    assert!(matches!(&told, KafkaError::Group { group, .. } if group == "g"), "{told}");
    assert!(told.to_string().contains("edge/KAFKA.md"), "{told}");
    cluster.clear_request_errors(FindCoordinator);
    until(Result::is_ok).unwrap();
}

#[test]
fn what_is_beyond_the_end_is_no_lag() {
    let place = |committed, end| Place { spot: spot("t", 0), committed, end }.lag();
    assert_eq!((place(3, 10), place(10, 10), place(11, 10)), (7, 0, 0));
}
