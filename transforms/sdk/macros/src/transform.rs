//! `#[transform]`: the function, the types of its schema, and the component's exports.

use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, FnArg, ItemFn, LitStr, Path as Name, Result, ReturnType, Type, parse::Parser as _, spanned::Spanned as _,
};

use crate::{codec, schema};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse(attribute)?;
    let function: ItemFn = syn::parse2(item)?;
    let path = package_path(&arguments.schema.value());
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::new(arguments.schema.span(), format!("cannot read {}: {error}", path.display())))?;
    let schema = schema::parse(&text)
        .map_err(|error| Error::new(arguments.schema.span(), format!("{}: {error}", path.display())))?;
    let types = codec::types(&schema, &text);
    let module = module(&arguments, &function)?;
    let path = path.to_string_lossy();
    Ok(quote! {
        #types

        // So that a changed schema rebuilds the module.
        const _: &[u8] = ::core::include_bytes!(#path);

        #function

        #module
    })
}

/// The trait's implementation and the exports.
fn module(arguments: &Arguments, function: &ItemFn) -> Result<TokenStream> {
    let own = &function.sig.ident;
    let name = match &arguments.name {
        Some(name) => name.value(),
        None => own.to_string().replace('_', "-"),
    };
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || !name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
    {
        return Err(Error::new(own.span(), format!("the module's name `{name}` must be [a-z][a-z0-9-]*")));
    }
    let (record, config) = signature(function)?;
    let (names, call) = match function.sig.inputs.len() {
        1 => ([quote!(_), quote!(_)], quote!(#own(record))),
        2 => ([quote!(config), quote!(_)], quote!(#own(record, config))),
        _ => ([quote!(config), quote!(input)], quote!(#own(record, config, input))),
    };
    let [config_name, input_name] = names;
    // Who may call the function may run it over frames: a bench of the native code does.
    let visibility = &function.vis;
    let lookups = lookups(&arguments.lookups);
    Ok(quote! {
        #[doc(hidden)]
        #[expect(non_camel_case_types, reason = "a name that no author takes")]
        #visibility struct __transform;

        impl ::transform_sdk::Transform for __transform {
            type Record = #record;
            type Config = #config;

            const NAME: &'static str = #name;
            // `transforms push --dev` builds the same sources under a version of its own.
            const VERSION: &'static str = match ::core::option_env!("TRANSFORM_VERSION") {
                ::core::option::Option::Some(version) => version,
                ::core::option::Option::None => ::core::env!("CARGO_PKG_VERSION"),
            };

            #lookups

            fn apply(
                record: #record,
                #config_name: &#config,
                #input_name: &::transform_sdk::Input<'_>,
            ) -> ::transform_sdk::Verdict<#record> {
                #call
            }
        }

        // Natively nothing else but a test calls the function.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(#record, &#config, &::transform_sdk::Input<'_>) -> ::transform_sdk::Verdict<#record> =
            <__transform as ::transform_sdk::Transform>::apply;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static CONFIG: ::std::sync::OnceLock<#config> = ::std::sync::OnceLock::new();

            struct Component;

            impl ::transform_sdk::bindings::Guest for Component {
                fn describe() -> ::transform_sdk::bindings::Description {
                    ::transform_sdk::guest::describe::<__transform>()
                }

                fn configure(
                    settings: ::transform_sdk::bindings::Settings,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    ::transform_sdk::guest::configure::<__transform>(&CONFIG, &settings)
                }

                fn process(batch: ::std::vec::Vec<u8>) -> ::std::vec::Vec<u8> {
                    ::transform_sdk::guest::process::<__transform>(&CONFIG, &batch)
                }
            }

            ::transform_sdk::bindings::export!(Component);
        };
    })
}

/// The tables, and the key that each one is asked for.
fn lookups(lookups: &[Lookup]) -> TokenStream {
    if lookups.is_empty() {
        return TokenStream::new();
    }
    let tables = lookups.iter().map(|lookup| &lookup.table);
    let keys = lookups.iter().enumerate().map(|(at, Lookup { key, .. })| quote!(#at => #key(record, config),));
    quote! {
        const TABLES: &'static [&'static str] = &[#(#tables),*];

        fn key(
            table: usize,
            record: &Self::Record,
            config: &Self::Config,
        ) -> ::core::option::Option<::std::vec::Vec<u8>> {
            match table {
                #(#keys)*
                _ => ::core::option::Option::None,
            }
        }
    }
}

/// The types of the record and of the configuration.
fn signature(function: &ItemFn) -> Result<(Type, Type)> {
    let arguments: Vec<_> = function
        .sig
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some((*typed.ty).clone()),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let expected = "expected fn(Record), fn(Record, &Config) or fn(Record, &Config, &Input), returning Verdict<Record>";
    if matches!(function.sig.output, ReturnType::Default) || arguments.len() != function.sig.inputs.len() {
        return Err(Error::new(function.sig.span(), expected));
    }
    match arguments.as_slice() {
        [record] => Ok((record.clone(), syn::parse_quote!(()))),
        [record, Type::Reference(config)] | [record, Type::Reference(config), Type::Reference(_)] => {
            Ok((record.clone(), (*config.elem).clone()))
        }
        _ => Err(Error::new(function.sig.inputs.span(), expected)),
    }
}

/// `schema = "…", name = "…", lookup(table = "…", key = FUNCTION)`.
struct Arguments {
    schema: LitStr,
    name: Option<LitStr>,
    lookups: Vec<Lookup>,
}

/// A table, and the function that gives the key of a record in it.
struct Lookup {
    table: LitStr,
    key: Name,
}

impl Arguments {
    fn parse(attribute: TokenStream) -> Result<Self> {
        let (mut schema, mut name, mut lookups) = (None, None, Vec::new());
        let parser = syn::meta::parser(|meta| {
            let place = if meta.path.is_ident("schema") {
                &mut schema
            } else if meta.path.is_ident("name") {
                &mut name
            } else if meta.path.is_ident("lookup") {
                lookups.push(Lookup::parse(&meta)?);
                return Ok(());
            } else {
                return Err(meta.error("expected `schema`, `name` or `lookup`"));
            };
            *place = Some(meta.value()?.parse::<LitStr>()?);
            Ok(())
        });
        parser.parse2(attribute)?;
        let missing = || Error::new(proc_macro2::Span::call_site(), "expected #[transform(schema = \"FILE.avsc\")]");
        Ok(Self { schema: schema.ok_or_else(missing)?, name, lookups })
    }
}

impl Lookup {
    fn parse(meta: &syn::meta::ParseNestedMeta<'_>) -> Result<Self> {
        let (mut table, mut key) = (None, None);
        meta.parse_nested_meta(|part| {
            if part.path.is_ident("table") {
                table = Some(part.value()?.parse::<LitStr>()?);
            } else if part.path.is_ident("key") {
                key = Some(part.value()?.parse::<Name>()?);
            } else {
                return Err(part.error("expected `table` or `key`"));
            }
            Ok(())
        })?;
        match (table, key) {
            (Some(table), Some(key)) => Ok(Self { table, key }),
            _ => Err(meta.error("expected lookup(table = \"NAME\", key = FUNCTION)")),
        }
    }
}

/// A path relative to the package that is being built.
fn package_path(path: &str) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    Path::new(&package).join(path)
}
