//! The members of an order in the order of the body: each is checked as it is read, and stands once.

use std::borrow::Cow;

use schemas::{Money, codec};

use super::{
    rules::{ItemsRule, NumberRule, OrderRules, TextRule},
    scan::Cursor,
};
use crate::{
    convert::{ITEM, ORDER},
    json::MAX_VALUES,
};

/// More are left to the full way, which counts the values of a body.
const MAX_ITEMS: usize = (MAX_VALUES - 1 - ORDER.len()) / (1 + ITEM.len());

/// A string, without its escapes.
type Bytes<'a> = Cow<'a, [u8]>;

/// An order that is valid. Its items are written already.
#[derive(Debug)]
pub(super) struct Members<'a> {
    pub(super) order_id: Bytes<'a>,
    pub(super) amount: Money,
    pub(super) customer: Bytes<'a>,
    pub(super) currency: Option<Bytes<'a>>,
    /// How many.
    pub(super) items: usize,
    pub(super) email: Option<Bytes<'a>>,
    pub(super) country: Option<Bytes<'a>>,
    pub(super) channel: Option<Bytes<'a>>,
    pub(super) created_at: Option<i64>,
}

/// Reads a whole body; appends the items of the order to `out`, one after the other.
pub(super) fn order<'a>(rules: &OrderRules, body: &'a [u8], out: &mut Vec<u8>) -> Option<Members<'a>> {
    let mut cursor = Cursor::new(body);
    let (mut order_id, mut amount, mut customer) = (None, None, None);
    let (mut currency, mut items, mut email, mut country, mut channel, mut created_at) =
        (None, None, None, None, None, None);
    object(&mut cursor, |cursor, key| match key {
        b"orderId" => once(&mut order_id, text(cursor, &rules.order_id.rule)?),
        b"amount" => once(&mut amount, money(cursor, &rules.amount.rule)?),
        b"customer" => once(&mut customer, text(cursor, &rules.customer.rule)?),
        b"currency" => once(&mut currency, text(cursor, &rules.currency.rule)?),
        b"items" => once(&mut items, put_items(cursor, &rules.items.rule, out)?),
        b"email" => once(&mut email, text(cursor, &rules.email.rule)?),
        b"country" => once(&mut country, text(cursor, &rules.country.rule)?),
        b"channel" => once(&mut channel, text(cursor, &rules.channel.rule)?),
        b"createdAt" => once(&mut created_at, rules.created_at.rule.read(&cursor.text()?)?),
        _ => None,
    })?;
    cursor.end()?;
    rules.order_id.holds(&order_id)?;
    rules.amount.holds(&amount)?;
    rules.customer.holds(&customer)?;
    rules.currency.holds(&currency)?;
    rules.items.holds(&items)?;
    rules.email.holds(&email)?;
    rules.country.holds(&country)?;
    rules.channel.holds(&channel)?;
    rules.created_at.holds(&created_at)?;
    let (order_id, amount, customer, items) = (order_id?, amount?, customer?, items.unwrap_or(0));
    Some(Members { order_id, amount, customer, currency, items, email, country, channel, created_at })
}

/// Appends the items of an array, and says how many there are.
fn put_items(cursor: &mut Cursor<'_>, rules: &ItemsRule, out: &mut Vec<u8>) -> Option<usize> {
    cursor.expect(b'[')?;
    let mut count = 0;
    if !cursor.passed(b']') {
        loop {
            put_item(cursor, rules, out)?;
            count += 1;
            match cursor.next()? {
                b',' if count < MAX_ITEMS => {}
                b']' => break,
                _ => return None,
            }
        }
    }
    (rules.min..=rules.max).contains(&count).then_some(count)
}

fn put_item(cursor: &mut Cursor<'_>, rules: &ItemsRule, out: &mut Vec<u8>) -> Option<()> {
    let (mut sku, mut quantity, mut unit_price) = (None, None, None);
    object(cursor, |cursor, key| match key {
        b"sku" => once(&mut sku, text(cursor, &rules.sku.rule)?),
        b"quantity" => once(&mut quantity, whole(cursor, &rules.quantity.rule)?),
        b"unitPrice" => once(&mut unit_price, money(cursor, &rules.unit_price.rule)?),
        _ => None,
    })?;
    rules.sku.holds(&sku)?;
    rules.quantity.holds(&quantity)?;
    rules.unit_price.holds(&unit_price)?;
    codec::put_bytes(out, &sku?);
    codec::put_long(out, quantity?);
    codec::put_money(out, unit_price?);
    Some(())
}

/// Reads an object of at least one member; `member` reads the value behind a key.
fn object<'a>(cursor: &mut Cursor<'a>, mut member: impl FnMut(&mut Cursor<'a>, &'a [u8]) -> Option<()>) -> Option<()> {
    cursor.expect(b'{')?;
    loop {
        let key = cursor.key()?;
        member(cursor, key)?;
        match cursor.next()? {
            b',' => {}
            b'}' => return Some(()),
            _ => return None,
        }
    }
}

/// No key stands twice.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}

fn text<'a>(cursor: &mut Cursor<'a>, rule: &TextRule) -> Option<Bytes<'a>> {
    let text = cursor.text()?;
    rule.admits(&text).then_some(text.bytes)
}

fn money(cursor: &mut Cursor<'_>, rule: &NumberRule) -> Option<Money> {
    let hundredths = cursor.hundredths()?;
    if rule.admits(hundredths) { Money::from_hundredths(hundredths) } else { None }
}

fn whole(cursor: &mut Cursor<'_>, rule: &NumberRule) -> Option<i64> {
    let whole = cursor.whole()?;
    rule.admits(whole * 100).then_some(whole)
}
