use super::*;

#[test]
fn a_port_is_set_by_its_name() {
    assert_eq!(PortName::parse("edge-admin=19080").unwrap(), (PortName::EdgeAdmin, 19080));
    for wrong in ["edge", "edge=", "edge=0", "edge=70000", "nothing=1", "=1"] {
        let fault = PortName::parse(wrong).unwrap_err().to_string();
        assert!(fault.contains(wrong) && fault.contains("NAME=NUMBER"), "{fault}");
    }
}

#[test]
fn two_names_with_one_number_are_refused() {
    let mut ports = Ports::default();
    ports.check_distinct().unwrap();
    ports.set(PortName::Edge, 9092);
    let fault = ports.check_distinct().unwrap_err().to_string();
    assert!(fault.contains("edge") && fault.contains("kafka") && fault.contains("9092"), "{fault}");
}

#[test]
fn a_taken_port_names_itself_its_holder_and_another_one() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let taken = listener.local_addr().unwrap().port();
    let mut ports = Ports::default();
    ports.set(PortName::Postgres, taken);
    let fault = ports.check_free(&[Service::Postgres]).unwrap_err().to_string();
    let us = format!("pid {}", std::process::id());
    assert!(
        fault.contains(&format!("port {taken} (postgres)"))
            && fault.contains(&us)
            && fault.contains("--port postgres="),
        "{fault}"
    );
    // Another service's port is no business of this stack.
    let block = take_free_block().unwrap();
    ports.set(PortName::Connectors, block.ports.get(PortName::Connectors));
    ports.check_free(&[Service::Connectors]).unwrap();
    drop(listener);
    ports.check_free(&[Service::Postgres]).unwrap();
}

#[test]
fn two_private_stacks_never_share_a_port() {
    let (one, other) = (take_free_block().unwrap(), take_free_block().unwrap());
    let numbers = |block: &Block| block.ports.0.values().copied().collect::<std::collections::BTreeSet<_>>();
    assert!(numbers(&one).is_disjoint(&numbers(&other)));
    assert_eq!(numbers(&one).len(), PortName::ALL.len());
}

#[test]
fn a_service_knows_its_ports() {
    let ports = Ports::default();
    assert_eq!(ports.of(Service::Edge), [8080, 9080]);
    assert_eq!(ports.of(Service::Kafka), [9092, 9093]);
    assert_eq!(ports.of(Service::Postgres), [5432]);
}
