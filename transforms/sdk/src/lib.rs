//! What the author of a transform uses.
//!
//! A transform is one pure function over a record whose type comes from an Avro schema file:
//!
//! ```text
//! use transform_sdk::prelude::*;
//!
//! /// What a pipeline may set.
//! #[derive(Parameters)]
//! struct Config {
//!     /// Orders below this amount are dropped.
//!     #[parameter(name = "min.amount", default = "0")]
//!     min_amount: Decimal,
//! }
//!
//! #[transform(schema = "order_placed.avsc")]
//! fn only_large(order: Order, config: &Config) -> Verdict<Order> {
//!     if order.amount < config.min_amount { drop_record() } else { emit(order) }
//! }
//! ```
//!
//! `#[transform]` makes `Order` and all types in it, with their codec, from the schema, and the component's exports on
//! wasm32. `cargo test` runs natively, without any WebAssembly. Not here: what the host does with a verdict.
mod datum;
mod decimal;
mod host;
mod parameters;
mod process;
mod verdict;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
pub mod guest;

#[cfg(any(all(target_arch = "wasm32", feature = "allocator"), test))]
mod heap;

#[cfg(test)]
mod tests;

// The macros name this crate as an author's crate would.
#[cfg(test)]
extern crate self as transform_sdk;

pub use datum::{Datum, DatumError, Reader, Writer};
pub use decimal::{Decimal, DecimalError};
pub use host::{Level, LookupError, count, log, lookup};
#[doc(hidden)]
pub use parameters::value as parameter_value;
pub use parameters::{Kind, Parameter, ParameterValue, Parameters};
pub use process::{Transform, process};
pub use transform_frame as frame;
pub use transform_macros::{Parameters, transform};
pub use verdict::{Emitted, Input, Verdict, drop_record, emit, emit_all, emit_to, reject};

/// Not natively: there an author's tests have their own.
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static HEAP: heap::Heap = heap::Heap::new();

/// Everything that a transform usually needs.
pub mod prelude {
    pub use crate::{
        Decimal, Emitted, Input, Kind, Level, ParameterValue, Parameters, Verdict, count, drop_record, emit, emit_all,
        emit_to, log, lookup, reject, transform,
    };
}

/// What wit-bindgen makes of the world.
#[cfg(target_arch = "wasm32")]
#[expect(missing_docs, clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "transform",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "transform_sdk::bindings",
    });
}
