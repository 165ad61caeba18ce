//! What goes to other outputs, and what has no value.

use super::*;

/// Two fields of an order: what another topic may want of it.
const BRIEF: &str = r#"{"type":"record","name":"orderflow.Order","fields":[
    {"name":"order_id","type":"string"},{"name":"customer","type":"string"}]}"#;

fn to(output: &str, record: &Record) -> Record {
    Record { output: Some(Arc::from(output)), ..judged(record) }
}

#[test]
fn what_goes_to_another_output_has_its_topic_its_schema_and_its_limit() {
    let (_, mut worker) = worker(|records| Ok(vec![Verdict::Emit(vec![judged(&records[0]), to("vip", &records[0])])]));
    let output = Output::new(21, BRIEF).unwrap();
    let reader = crate::record::writers::kept(ORDER_PLACED_AVSC, BRIEF).unwrap().unwrap();
    let vip = Named { route: route("orders.vip"), output, reader: Some(reader) };
    worker.named.insert("vip".to_owned(), vip);
    let order = [input(41, Some(b"o-1"), Some(framed("o-1")))];
    let mut out = Vec::new();
    assert_eq!(worker.apply(&order, &mut out).unwrap(), Tally { done: 1, out: 2, dead: 0, dropped: 0 });
    assert_eq!(out.iter().map(|output| &*output.topic).collect::<Vec<_>>(), ["order_placed", "orders.vip"]);
    let (id, datum) = framing::split(out[1].value.as_ref().unwrap()).unwrap();
    assert_eq!((id, datum), (21, "\u{6}o-1\u{20}A \"quoted\" n\u{e4}me".as_bytes()));
    assert_eq!((header(&out[1], "orderflow.modules"), out[1].key.as_deref()), (Some(LABEL), Some(&b"o-1"[..])));
    // What one topic would not take makes a dead letter of the input, and of nothing else of it anything.
    if let Some(vip) = worker.named.get_mut("vip") {
        vip.route.max_bytes = 10;
    }
    out.clear();
    assert_eq!(worker.apply(&order, &mut out).unwrap(), Tally { done: 1, out: 0, dead: 1, dropped: 0 });
    let message = header(&out[0], "__connect.errors.exception.message").unwrap();
    assert!(message.contains("orders.vip takes at most 10"), "{message}");
}

#[test]
fn a_tombstone_passes_where_no_module_takes_it_and_the_output_knows_no_orders() {
    let schema = r#"{"type":"record","name":"Thing","fields":[{"name":"text","type":"string"}]}"#;
    let (_, mut worker) =
        worker(|records| Ok(records.iter().map(|record| Verdict::Emit(vec![record.clone()])).collect()));
    worker.output = Output::new(22, schema).unwrap();
    let mut out = Vec::new();
    assert_eq!(worker.apply(&[input(1, Some(b"gone"), None)], &mut out).unwrap().out, 1);
    assert_eq!((out[0].key.as_deref(), &out[0].value), (Some(&b"gone"[..]), &None));
    assert_eq!(header(&out[0], "orderflow.modules"), Some(""), "no module judged it");
}
