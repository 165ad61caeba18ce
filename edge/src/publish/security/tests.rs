use service_kit::kafka::{Security, security::Protocol};

use super::*;

/// What a producer goes by, as librdkafka has it.
fn protocol(kafka: &crate::publish::Kafka) -> String {
    use rdkafka::{bindings, producer::Producer};
    let (mut text, mut size) = ([0_u8; 64], 64);
    // SAFETY: the client is alive, the name is a C string, and no more is written than there is room for.
    let got = unsafe {
        let config = bindings::rd_kafka_conf(kafka.client().native_ptr());
        bindings::rd_kafka_conf_get(config, c"security.protocol".as_ptr(), text.as_mut_ptr().cast(), &raw mut size)
    };
    assert_eq!(got, bindings::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK);
    text[..size - 1].escape_ascii().to_string()
}

/// The supervisor replaces a producer that broke while a signal brings a new certificate: whichever is first, the one
/// that is left goes by what was read last.
#[test]
fn a_producer_that_is_replaced_while_the_security_changes_has_the_new_one() {
    let metrics = crate::metrics::Metrics::new(&mut prometheus_client::registry::Registry::default());
    let publisher = Publisher::new("127.0.0.1:1", Security::default(), "test", "t", metrics).unwrap();
    for round in 0..12 {
        let kafka_security_protocol = if round % 2 == 0 { Protocol::Ssl } else { Protocol::Plaintext };
        let expected = if round % 2 == 0 { "ssl" } else { "plaintext" };
        let newest = SecurityArgs { kafka_security_protocol, ..SecurityArgs::default() }.check(&mut Vec::new());
        let broken = publisher.kafka();
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                publisher.replace(&broken, publisher.fresh_context()).unwrap();
            });
            both.wait();
            assert!(publisher.secure(newest).unwrap());
        });
        assert_eq!(protocol(&publisher.kafka()), expected, "round {round}");
    }
}
