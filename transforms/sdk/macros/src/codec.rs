//! Writes the Rust types of a schema and their codec.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use serde_json::Value;

use crate::schema::{Definition, Field, Schema, Type};

/// All types of a schema; `text` is the schema itself.
pub(crate) fn types(schema: &Schema, text: &str) -> TokenStream {
    let root = ident(&schema.root);
    let definitions = schema.definitions.iter().map(|(name, definition)| match definition {
        Definition::Record { doc, fields } => record(name, doc.as_deref(), fields, schema),
        Definition::Enum { doc, symbols } => symbol(name, doc.as_deref(), symbols),
    });
    quote! {
        #(#definitions)*

        impl ::transform_sdk::Datum for #root {
            const SCHEMA: &'static str = #text;

            fn read_some(input: &mut ::transform_sdk::Reader<'_>) -> Self {
                Self::__read(input)
            }

            fn write(&self, out: &mut ::transform_sdk::Writer<'_>) -> ::core::result::Result<(), ::transform_sdk::DatumError> {
                self.__write(out)
            }
        }
    }
}

fn record(name: &str, doc: Option<&str>, fields: &[Field], schema: &Schema) -> TokenStream {
    let own = ident(name);
    let doc = doc.map_or_else(|| format!("The record `{name}` of the schema."), str::to_owned);
    let idents: Vec<_> = fields.iter().map(|field| ident(&field.name)).collect();
    let docs = fields.iter().map(|field| field.doc.clone().unwrap_or_else(|| format!("The field `{}`.", field.name)));
    let kinds = fields.iter().map(|field| rust_type(&field.kind));
    let defaults = fields.iter().map(|field| default(field, schema));
    let reads = fields.iter().map(|field| read(&field.kind));
    let writes =
        fields.iter().zip(&idents).map(|(field, ident)| write(&field.kind, &quote!(&self.#ident), &field.name));
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug, PartialEq)]
        pub struct #own {
            #( #[doc = #docs] pub #idents: #kinds, )*
        }

        impl ::core::default::Default for #own {
            fn default() -> Self {
                Self { #( #idents: #defaults, )* }
            }
        }

        impl #own {
            fn __read(input: &mut ::transform_sdk::Reader<'_>) -> Self {
                Self { #( #idents: #reads, )* }
            }

            fn __write(&self, out: &mut ::transform_sdk::Writer<'_>) -> ::core::result::Result<(), ::transform_sdk::DatumError> {
                #(#writes)*
                ::core::result::Result::Ok(())
            }
        }
    }
}

fn symbol(name: &str, doc: Option<&str>, symbols: &[String]) -> TokenStream {
    let own = ident(name);
    let doc = doc.map_or_else(|| format!("The enum `{name}` of the schema."), str::to_owned);
    let variants: Vec<_> = symbols.iter().map(|symbol| format_ident!("{}", camel(symbol))).collect();
    let indexes = 0_usize..;
    let indexes: Vec<_> = indexes.take(symbols.len()).collect();
    let count = symbols.len();
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum #own {
            #[default]
            #( #[doc = #symbols] #variants, )*
        }

        impl #own {
            fn __read(input: &mut ::transform_sdk::Reader<'_>) -> Self {
                let all = [#(Self::#variants),*];
                all.get(input.symbol(#count)).copied().unwrap_or_default()
            }

            fn __write(&self, out: &mut ::transform_sdk::Writer<'_>) -> ::core::result::Result<(), ::transform_sdk::DatumError> {
                let index: usize = match self { #( Self::#variants => #indexes, )* };
                out.long(index as i64);
                ::core::result::Result::Ok(())
            }
        }
    }
}

fn rust_type(kind: &Type) -> TokenStream {
    match kind {
        Type::Boolean => quote!(bool),
        Type::Int => quote!(i32),
        Type::Long => quote!(i64),
        Type::Float => quote!(f32),
        Type::Double => quote!(f64),
        Type::Bytes => quote!(::std::vec::Vec<u8>),
        Type::String => quote!(::std::string::String),
        Type::Decimal { .. } => quote!(::transform_sdk::Decimal),
        Type::Fixed { size } => quote!([u8; #size]),
        Type::Array(item) => {
            let item = rust_type(item);
            quote!(::std::vec::Vec<#item>)
        }
        Type::Map(value) => {
            let value = rust_type(value);
            quote!(::std::collections::BTreeMap<::std::string::String, #value>)
        }
        Type::Option { some, .. } => {
            let some = rust_type(some);
            quote!(::core::option::Option<#some>)
        }
        Type::Named(name) => {
            let name = ident(name);
            quote!(#name)
        }
    }
}

/// An expression that reads a value from `input`.
fn read(kind: &Type) -> TokenStream {
    match kind {
        Type::Boolean => quote!(input.boolean()),
        Type::Int => quote!(input.int()),
        Type::Long => quote!(input.long()),
        Type::Float => quote!(input.float()),
        Type::Double => quote!(input.double()),
        Type::Bytes => quote!(input.bytes()),
        Type::String => quote!(input.string()),
        Type::Decimal { scale, fixed: None, .. } => quote!(input.decimal(#scale)),
        Type::Decimal { scale, fixed: Some(size), .. } => quote!(input.fixed_decimal(#size, #scale)),
        Type::Fixed { size } => quote!(input.fixed::<#size>()),
        Type::Array(item) => {
            let item = read(item);
            quote!(input.array(|input| #item))
        }
        Type::Map(value) => {
            let value = read(value);
            quote!(input.map(|input| #value))
        }
        Type::Option { null, some } => {
            let some = read(some);
            quote!(input.option(#null, |input| #some))
        }
        Type::Named(name) => {
            let name = ident(name);
            quote!(#name::__read(input))
        }
    }
}

/// A statement that writes the value behind the reference `value` to `out`.
fn write(kind: &Type, value: &TokenStream, field: &str) -> TokenStream {
    match kind {
        Type::Boolean => quote!(out.boolean(*#value);),
        Type::Int => quote!(out.long(i64::from(*#value));),
        Type::Long => quote!(out.long(*#value);),
        Type::Float => quote!(out.float(*#value);),
        Type::Double => quote!(out.double(*#value);),
        Type::Bytes => quote!(out.bytes(#value);),
        Type::String => quote!(out.bytes((#value).as_bytes());),
        Type::Decimal { precision, scale, fixed: None } => quote!(out.decimal(*#value, #precision, #scale, #field)?;),
        Type::Decimal { precision, scale, fixed: Some(size) } => {
            quote!(out.fixed_decimal(*#value, #size, #precision, #scale, #field)?;)
        }
        Type::Fixed { .. } => quote!(out.fixed(#value);),
        Type::Array(item) => inner(&quote!(out.array(#value,)), item, field),
        Type::Map(entry) => inner(&quote!(out.map(#value,)), entry, field),
        Type::Option { null, some } => {
            let some = write(some, &quote!(value), field);
            quote! { out.option((#value).as_ref(), #null, |out, value| { #some ::core::result::Result::Ok(()) })?; }
        }
        Type::Named(_) => quote!((#value).__write(out)?;),
    }
}

/// `out.array(value, |out, value| …)?;`, where `call` is everything up to the closure.
fn inner(call: &TokenStream, kind: &Type, field: &str) -> TokenStream {
    let body = write(kind, &quote!(value), field);
    let mut tokens: Vec<_> = call.clone().into_iter().collect();
    if let Some(proc_macro2::TokenTree::Group(group)) = tokens.pop() {
        let arguments = group.stream();
        let closure = quote!(|out, value| { #body ::core::result::Result::Ok(()) });
        let group = proc_macro2::Group::new(group.delimiter(), quote!(#arguments #closure));
        tokens.push(group.into());
    }
    let call: TokenStream = tokens.into_iter().collect();
    quote!(#call?;)
}

/// The schema's default where Rust's own is another one.
fn default(field: &Field, schema: &Schema) -> TokenStream {
    match (&field.kind, &field.default) {
        (Type::Boolean, Some(Value::Bool(value))) => quote!(#value),
        (Type::Int, Some(Value::Number(value))) => {
            let value = value.as_i64().and_then(|value| i32::try_from(value).ok()).unwrap_or_default();
            quote!(#value)
        }
        (Type::Long, Some(Value::Number(value))) => {
            let value = value.as_i64().unwrap_or_default();
            quote!(#value)
        }
        (Type::Float | Type::Double, Some(Value::Number(value))) => {
            let value = proc_macro2::Literal::f64_unsuffixed(value.as_f64().unwrap_or_default());
            quote!(#value)
        }
        (Type::String, Some(Value::String(value))) => quote!(::std::string::String::from(#value)),
        (Type::Named(name), Some(Value::String(value))) => match schema.definitions.get(name) {
            Some(Definition::Enum { symbols, .. }) if symbols.contains(value) => {
                let (name, variant) = (ident(name), format_ident!("{}", camel(value)));
                quote!(#name::#variant)
            }
            _ => quote!(::core::default::Default::default()),
        },
        (Type::Fixed { size }, _) => quote!([0; #size]),
        _ => quote!(::core::default::Default::default()),
    }
}

fn ident(name: &str) -> Ident {
    syn::parse_str::<Ident>(name).unwrap_or_else(|_| match name {
        // These cannot even be raw.
        "self" | "Self" | "super" | "crate" | "_" => format_ident!("{name}_"),
        name => Ident::new_raw(name, Span::call_site()),
    })
}

/// `IN_TRANSIT` and `in_transit` become `InTransit`; `Paid` stays.
fn camel(symbol: &str) -> String {
    let shouted = !symbol.chars().any(|letter| letter.is_ascii_lowercase());
    symbol
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            let rest = if shouted { rest.to_ascii_lowercase() } else { rest.to_owned() };
            first.to_ascii_uppercase() + &rest
        })
        .collect()
}
