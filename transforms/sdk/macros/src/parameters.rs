//! `#[derive(Parameters)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Fields, Lit, Meta, Result};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => return Err(Error::new_spanned(&input.ident, "a struct with named fields is needed")),
        },
        _ => return Err(Error::new_spanned(&input.ident, "a struct is needed")),
    };
    let mut describes = Vec::new();
    let mut values = Vec::new();
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let kind = &field.ty;
        let attribute = Parameter::of(&field.attrs)?;
        let name = attribute.name.unwrap_or_else(|| ident.to_string().trim_start_matches("r#").replace('_', "."));
        if !well_formed(&name) {
            return Err(Error::new_spanned(ident, format!("the name `{name}` must be [a-z][a-z0-9.-]*")));
        }
        let default = match attribute.default {
            Some(text) => quote!(::core::option::Option::Some(#text)),
            None => quote!(::core::option::Option::None),
        };
        let description = doc(&field.attrs);
        describes.push(quote! {{
            let default: ::core::option::Option<&'static str> = #default;
            ::transform_sdk::Parameter {
                name: #name,
                kind: <#kind as ::transform_sdk::ParameterValue>::KIND,
                required: default.is_none() && !<#kind as ::transform_sdk::ParameterValue>::OPTIONAL,
                default,
                description: #description,
            }
        }});
        values.push(quote!(#ident: ::transform_sdk::parameter_value(set, #name, #default)?));
    }
    let own = &input.ident;
    let check = check(&input.attrs)?.map(|check| quote!(#check(&config)?;));
    Ok(quote! {
        impl ::transform_sdk::Parameters for #own {
            fn describe() -> ::std::vec::Vec<::transform_sdk::Parameter> {
                ::std::vec![#(#describes),*]
            }

            fn parse(
                set: &[(::std::string::String, ::std::string::String)],
            ) -> ::core::result::Result<Self, ::std::string::String> {
                let config = Self { #(#values),* };
                #check
                ::core::result::Result::Ok(config)
            }
        }
    })
}

/// `#[parameter(name = "…", default = "…")]`.
#[derive(Default)]
struct Parameter {
    name: Option<String>,
    default: Option<String>,
}

impl Parameter {
    fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("parameter")) {
            attribute.parse_nested_meta(|meta| {
                let place = if meta.path.is_ident("name") {
                    &mut found.name
                } else if meta.path.is_ident("default") {
                    &mut found.default
                } else {
                    return Err(meta.error("expected `name` or `default`"));
                };
                *place = Some(meta.value()?.parse::<syn::LitStr>()?.value());
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// `#[parameters(check = PATH)]`.
fn check(attributes: &[Attribute]) -> Result<Option<syn::Path>> {
    let mut found = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("parameters")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("check") {
                return Err(meta.error("expected `check`"));
            }
            found = Some(meta.value()?.parse::<syn::Path>()?);
            Ok(())
        })?;
    }
    Ok(found)
}

fn well_formed(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-".contains(letter))
}

/// The doc comment, as one line.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}
