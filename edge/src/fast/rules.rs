//! The rules of an order as one pass asks them: what a record holds (`convert`), made tighter by the schema in use.

use std::ops::{Range, RangeInclusive};

use schemas::{Money, OrderId};

use super::{scan::Text, shape::Pattern, time};
use crate::{
    convert::{CHANNEL, COUNTRY, CURRENCY, CUSTOMER, EMAIL, QUANTITY, SKU, TIMES},
    timestamp::MAX_TEXT,
};

/// A field: whether it may be there, and its value's rule.
#[derive(Debug)]
pub(super) struct Field<R> {
    pub(super) presence: Presence,
    pub(super) rule: R,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Presence {
    Optional,
    Required,
    Forbidden,
}

/// The rules of a whole order.
#[derive(Debug)]
pub(super) struct OrderRules {
    pub(super) order_id: Field<TextRule>,
    pub(super) amount: Field<NumberRule>,
    pub(super) customer: Field<TextRule>,
    pub(super) currency: Field<TextRule>,
    pub(super) items: Field<ItemsRule>,
    pub(super) email: Field<TextRule>,
    pub(super) country: Field<TextRule>,
    pub(super) channel: Field<TextRule>,
    pub(super) created_at: Field<TimeRule>,
}

#[derive(Debug)]
pub(super) struct ItemsRule {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) sku: Field<TextRule>,
    pub(super) quantity: Field<NumberRule>,
    pub(super) unit_price: Field<NumberRule>,
}

/// For a string; lengths in characters.
#[derive(Debug)]
pub(super) struct TextRule {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) patterns: Vec<Pattern>,
}

/// For a number, in hundredths.
#[derive(Debug)]
pub(super) struct NumberRule {
    pub(super) min: i64,
    pub(super) max: i64,
    /// It is a multiple of this.
    pub(super) unit: i64,
}

/// For a time, in milliseconds.
#[derive(Debug)]
pub(super) struct TimeRule {
    pub(super) text: TextRule,
    pub(super) range: Range<i64>,
}

impl OrderRules {
    /// What a record holds, whatever the schema says.
    pub(super) fn of_records() -> Self {
        let id = Pattern::parse("^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$");
        Self {
            order_id: Field::of(TextRule { patterns: id.into_iter().collect(), ..TextRule::up_to(OrderId::MAX_LEN) }),
            amount: Field::of(NumberRule::money()),
            customer: Field::of(TextRule::up_to(CUSTOMER)),
            currency: Field::of(TextRule::up_to(CURRENCY)),
            items: Field::of(ItemsRule {
                min: 0,
                max: usize::MAX,
                sku: Field::of(TextRule::up_to(SKU)),
                quantity: Field::of(NumberRule::whole(QUANTITY)),
                unit_price: Field::of(NumberRule::money()),
            }),
            email: Field::of(TextRule::up_to(EMAIL)),
            country: Field::of(TextRule::up_to(COUNTRY)),
            channel: Field::of(TextRule::up_to(CHANNEL)),
            created_at: Field::of(TimeRule { text: TextRule::up_to(MAX_TEXT), range: TIMES }),
        }
    }
}

impl<R> Field<R> {
    fn of(rule: R) -> Self {
        Self { presence: Presence::Optional, rule }
    }

    /// Whether the field may be there, or be missing.
    pub(super) fn holds<T>(&self, value: &Option<T>) -> Option<()> {
        let holds = match self.presence {
            Presence::Optional => true,
            Presence::Required => value.is_some(),
            Presence::Forbidden => value.is_none(),
        };
        holds.then_some(())
    }
}

impl TextRule {
    fn up_to(max: usize) -> Self {
        Self { min: 1, max, patterns: Vec::new() }
    }

    pub(super) fn admits(&self, text: &Text<'_>) -> bool {
        (self.min..=self.max).contains(&text.chars) && self.patterns.iter().all(|pattern| pattern.admits(&text.bytes))
    }
}

impl NumberRule {
    fn money() -> Self {
        Self { min: 0, max: Money::MAX.hundredths(), unit: 1 }
    }

    fn whole(range: RangeInclusive<i32>) -> Self {
        Self { min: i64::from(*range.start()) * 100, max: i64::from(*range.end()) * 100, unit: 100 }
    }

    pub(super) fn admits(&self, hundredths: i64) -> bool {
        (self.min..=self.max).contains(&hundredths) && (self.unit == 1 || hundredths % self.unit == 0)
    }
}

impl TimeRule {
    /// The time that a text says, if it is admitted.
    pub(super) fn read(&self, text: &Text<'_>) -> Option<i64> {
        let millis = time::millis(&text.bytes)?;
        (self.range.contains(&millis) && self.text.admits(text)).then_some(millis)
    }
}
