//! What each module changed in a record: `transforms` runs it again, step by step, with the modules that its header names.
//! That is shown only where it comes to what is stored; else the changes of all modules together are what is known. So all
//! that differs must be a module's or the pipeline's own: tables, modules and schemas may be others by now, and what one
//! of them did then must not be laid on the pipeline.

use std::collections::BTreeMap;

use schemas::names::topics;
use serde::Deserialize;

use super::facts::{Changed, Delivery, Step};
use crate::connect::{Connect, ConnectError};

/// So many records of an order are run again, the newest: each takes `transforms` a moment.
const MOST: usize = 3;
/// What the pipeline itself writes into each record, behind the last module.
const OWN: [&str; 3] = ["items_json", "received_partition", "received_offset"];

/// What `transforms` tells.
#[derive(Debug, Deserialize)]
struct Told {
    steps: Vec<Step>,
}

/// Asks for the newest deliveries. One that cannot be told stays as it is. `is_default` knows what a field has where a
/// schema gives it to a record that lacks it.
pub(super) async fn fill(
    transforms: &Connect,
    pipeline: &str,
    deliveries: &mut [Delivery],
    is_default: impl Fn(&str, &str) -> bool,
) {
    let placed = |one: &&mut Delivery| one.at.topic == topics::ORDER_PLACED && !one.changes.is_empty();
    for delivery in deliveries.iter_mut().rev().filter(placed).take(MOST) {
        let told = match transforms.steps(pipeline, &delivery.at.to_string()).await {
            Ok(told) => told,
            // Who does not answer once is not waited for again.
            Err(ConnectError::Http(_)) => return,
            Err(_) => None,
        };
        let told = told.and_then(|told| serde_json::from_value::<Told>(told).ok());
        let agreed = told.map(|told| told.steps).filter(|steps| agrees(steps, delivery, &is_default));
        delivery.steps = agreed.unwrap_or_default();
    }
}

/// Whether the steps are those of the record's header, and come to what it says and to nothing else.
fn agrees(steps: &[Step], delivery: &Delivery, is_default: impl Fn(&str, &str) -> bool) -> bool {
    if !steps.iter().map(|step| &step.module).eq(&delivery.modules) {
        return false;
    }
    // Of each field what the first module met and what the last one left.
    let mut made: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for change in steps.iter().flat_map(|step| &step.changes) {
        let (before, after) = (value(change.before.as_ref()), value(change.after.as_ref()));
        made.entry(&change.field).and_modify(|(_, last)| *last = after).or_insert((before, after));
    }
    let stored: BTreeMap<&str, &Changed> =
        delivery.changes.iter().map(|change| (change.field.as_str(), change)).collect();
    let comes_to = |(field, (before, after)): (&&str, &(Option<&str>, Option<&str>))| match stored.get(field) {
        Some(whole) => value(whole.after.as_ref()) == *after,
        // Changed back.
        None => before == after,
    };
    let is_nobodys = |change: &Changed| {
        let (before, after) = (value(change.before.as_ref()), value(change.after.as_ref()));
        let given = change.before.is_none() && after.is_some_and(|after| is_default(&change.field, after));
        before == after || given || OWN.contains(&change.field.as_str())
    };
    made.iter().all(comes_to)
        && delivery.changes.iter().all(|one| made.contains_key(one.field.as_str()) || is_nobodys(one))
}

/// Null is what is not there: a field that a schema adds has it in all that was written before.
fn value(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| *text != "null")
}

/// The changes that no module made: what the pipeline itself writes into each record.
pub(super) fn others(delivery: &Delivery) -> impl Iterator<Item = &Changed> {
    let made = move |field: &str| delivery.steps.iter().any(|step| step.changes.iter().any(|one| one.field == field));
    delivery.changes.iter().filter(move |change| !made(&change.field))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::kafka::record::Address;

    fn change(field: &str, before: Option<&str>, after: Option<&str>) -> Changed {
        Changed { field: field.to_owned(), before: before.map(str::to_owned), after: after.map(str::to_owned) }
    }

    fn delivery(offset: i64, changes: &[Changed]) -> Delivery {
        let (at, modules) = (Address::new(topics::ORDER_PLACED, 0, offset), vec!["m".to_owned()]);
        Delivery { at, version: None, modules, changes: changes.to_vec(), steps: Vec::new(), unreadable: None }
    }

    #[test]
    fn steps_are_shown_only_where_they_and_the_pipeline_make_all_that_differs() {
        let region = change("region", None, Some("\"EMEA\""));
        let new = [
            region.clone(),
            change("tier", None, Some("null")),
            change("item_count", None, Some("0")),
            change("items_json", None, Some("\"[]\"")),
            change("received_offset", None, Some("7")),
        ];
        let shown = |made: &[Changed], stored: &[Changed]| {
            let step = Step { module: "m".to_owned(), changes: made.to_vec() };
            agrees(&[step], &delivery(0, stored), |field: &str, text: &str| (field, text) == ("item_count", "0"))
        };
        let met_null = change("region", Some("null"), Some("\"EMEA\""));
        assert!(shown(std::slice::from_ref(&region), &new) && shown(std::slice::from_ref(&met_null), &new));
        assert!(!shown(&[], &new), "the region is a module's");
        assert!(!shown(&[change("region", None, Some("\"APAC\""))], &new));
        // Another count than the schema's own is somebody's.
        let counted = [&new[..2], &[change("item_count", None, Some("3"))]].concat();
        assert!(!shown(std::slice::from_ref(&region), &counted));
        let amount = [&new[..], &[change("amount", Some("1.00"), Some("2.00"))]].concat();
        assert!(!shown(std::slice::from_ref(&region), &amount));
        let and = |other: Changed| [region.clone(), other];
        assert!(!shown(&and(change("channel", Some("\"web\""), Some("\"app\""))), &new), "it is \"web\" there");
        assert!(shown(&and(change("channel", None, Some("null"))), &new), "which is the same");
        let mut back = and(change("channel", None, Some("\"web\""))).to_vec();
        back.push(change("channel", Some("\"web\""), Some("null")));
        assert!(shown(&back, &new), "changed back");
        back.pop();
        assert!(!shown(&back, &new), "and not changed back");
    }

    #[tokio::test]
    async fn who_does_not_answer_once_is_not_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transforms = Connect::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let changes = [change("region", None, Some("\"EMEA\""))];
        let mut deliveries: Vec<Delivery> = (0..3).map(|offset| delivery(offset, &changes)).collect();
        let mut came = 0;
        // Each is hung up on at once.
        let hang_up = async {
            while listener.accept().await.is_ok() {
                came += 1;
            }
        };
        tokio::select! {
            () = fill(&transforms, "p", &mut deliveries, |_: &str, _: &str| false) => {}
            () = hang_up => {}
        }
        assert_eq!(came, 1);
    }
}
