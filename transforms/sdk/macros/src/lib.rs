//! The macros of `transform-sdk`: `#[transform]` and `#[derive(Parameters)]`.
//!
//! `#[transform]` reads an Avro schema file while the guest is built and writes the types, their codec and the
//! component's exports. Nothing here runs in a guest.
mod codec;
mod parameters;
mod schema;
mod transform;

use proc_macro::TokenStream;

/// Makes a transform of one pure function.
///
/// `#[transform(schema = "FILE.avsc")]` on `fn name(record: R, config: &C, input: &Input) -> Verdict<R>`; the last one
/// or two arguments may be left out. The file's path is relative to the package. The types have the names that the
/// schema gives them. The module is called as the function (`_` becomes `-`), unless `name = "…"` says otherwise; its
/// version is the package's.
///
/// `lookup(table = "NAME", key = FUNCTION)`, as often as there are tables: `fn(record: &R, config: &C) ->
/// Option<Vec<u8>>` gives the key that a record is looked up under, all records of a batch are asked for in one call,
/// and `input.found("NAME")` is the answer.
#[proc_macro_attribute]
pub fn transform(attribute: TokenStream, item: TokenStream) -> TokenStream {
    transform::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Reads a struct from the parameters that a pipeline sets.
///
/// On a field: `#[parameter(name = "min.amount", default = "0")]`, both optional; without a name the field's own is
/// taken, with `.` for `_`. The doc comment is the description. A field without a default must be set, unless it is an
/// `Option`. On the struct: `#[parameters(check = PATH)]`, a `fn(&Self) -> Result<(), String>` for rules between
/// parameters; its error should begin with the parameter's name.
#[proc_macro_derive(Parameters, attributes(parameter, parameters))]
pub fn parameters(item: TokenStream) -> TokenStream {
    parameters::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
