//! Bodies that an edge must take or refuse, whoever wrote it: the rules of `schemas/order.schema.json`, one by one.
//! Single orders only: an array is a batch to ours, and nothing to a peer.

/// What stands for an order's own id.
const PLACE: &str = "ID";

/// A body, and whether it is an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    text: &'static str,
    /// Whether it is to be taken.
    pub(super) is_order: bool,
}

impl Body {
    /// With this id, where it has one.
    pub(super) fn with_id(self, id: &str) -> String {
        self.text.replacen(PLACE, id, 1)
    }

    /// Whether the order says when it was made; else it is the time of receipt, which differs.
    pub(super) fn has_time(self) -> bool {
        self.text.contains("createdAt")
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Body> {
    let of = |is_order| move |text: &&'static str| Body { text, is_order };
    ORDERS.iter().map(of(true)).chain(NO_ORDERS.iter().map(of(false)))
}

const ORDERS: [&str; 22] = [
    r#"{"orderId":"ID","amount":1,"customer":"a"}"#,
    r#" { "customer" : "Zo\u00eb \ud83d\ude00" , "amount" : 12.50 , "orderId" : "ID" } "#,
    r#"{"orderId":"ID","amount":0,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":1e2,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":12.5000,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":9999999999999.99,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":0.01,"customer":"  a  "}"#,
    r#"{"orderId":"ID","amount":1,"customer":"line\nbreak\tand \"quotes\""}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","currency":"eur"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":1,"unitPrice":0}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":1000000,"unitPrice":9999999999999.99}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"unitPrice":1.5,"quantity":2.0,"sku":"\u00fc"}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","email":"a@b"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","email":" Jo Doe@EXAMPLE.com "}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","country":"de","channel":"Web_Shop-1"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2026-05-06T07:08:09Z"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2026-05-06T07:08:09.123456789+02:00"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2000-01-01T00:00:00Z"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2100-01-01T01:59:59.999+02:00"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2026-05-06t07:08:09z"}"#,
    r#"{"orderId":"ID","amount":149.85,"customer":"Zoe Berg","currency":"EUR","items":[{"sku":"SKU-0001","quantity":2,"unitPrice":49.95},{"sku":"SKU-0002","quantity":1,"unitPrice":24.95}],"email":"zoe.b@example.com","country":"DE","channel":"web","createdAt":"2026-05-06T07:08:09.123Z"}"#,
];

const NO_ORDERS: [&str; 51] = [
    "",
    "null",
    "1",
    r#"{"orderId":"ID""#,
    r#"{"orderId":"ID","amount":1,"customer":"a"}x"#,
    r#"{"orderId":"ID","amount":1,"customer":"a",}"#,
    r#"{'orderId':'ID','amount':1,'customer':'a'}"#,
    r#"{"amount":1,"customer":"a"}"#,
    r#"{"orderId":"ID","customer":"a"}"#,
    r#"{"orderId":"ID","amount":1}"#,
    r#"{"orderId":"","amount":1,"customer":"a"}"#,
    r#"{"orderId":"-ID","amount":1,"customer":"a"}"#,
    r#"{"orderId":"ID/x","amount":1,"customer":"a"}"#,
    r#"{"orderId":"ID\n","amount":1,"customer":"a"}"#,
    r#"{"orderId":7,"amount":1,"customer":"a"}"#,
    r#"{"orderId":null,"amount":1,"customer":"a"}"#,
    r#"{"orderId":"ID","orderId":"ID","amount":1,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":"1","customer":"a"}"#,
    r#"{"orderId":"ID","amount":true,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":null,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":-0.01,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":0.001,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":10000000000000,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":1e60,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":01,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":NaN,"customer":"a"}"#,
    r#"{"orderId":"ID","amount":1,"customer":""}"#,
    r#"{"orderId":"ID","amount":1,"customer":"   "}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a\u0000b"}"#,
    r#"{"orderId":"ID","amount":1,"customer":5}"#,
    r#"{"orderId":"ID","amount":1,"customer":["a"]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","unknown":1}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","currency":"EURO"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","currency":"E1R"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","currency":null}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":{}}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":null}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[null]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":0,"unitPrice":0}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":1.5,"unitPrice":0}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":1000001,"unitPrice":0}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"","quantity":1,"unitPrice":0}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":1}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","items":[{"sku":"s","quantity":1,"unitPrice":0,"x":1}]}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","email":"a@b@c"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","email":"@b"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","country":"DEU"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","channel":"a b"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2026-05-06T07:08:09"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"2026-02-30T07:08:09Z"}"#,
    r#"{"orderId":"ID","amount":1,"customer":"a","createdAt":"1999-12-31T23:59:59.999Z"}"#,
];

#[cfg(test)]
mod tests {
    use edge::{check::Rules, orders::encode_in_full};
    use schemas::{contracts, order::Timestamp};

    use super::*;

    /// The table is held against the edge's own rules without a server: a wrong line would condemn a right peer.
    #[test]
    fn every_body_is_what_the_table_says() {
        let rules = Rules::compile(contracts::ORDER_SCHEMA_JSON).unwrap();
        for (number, body) in all().enumerate() {
            let text = body.with_id(&format!("order-{number}"));
            let taken = encode_in_full(&rules, text.as_bytes(), 1, Timestamp(0)).is_ok();
            assert_eq!(taken, body.is_order, "{text}");
        }
    }
}
