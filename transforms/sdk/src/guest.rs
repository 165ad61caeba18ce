//! The glue between a transform and the world's exports. Only on wasm32; `#[transform]` calls it.

use std::sync::OnceLock;

use crate::{Datum, Kind, Parameters, Transform, bindings};

/// The export `describe`.
pub fn describe<T: Transform>() -> bindings::Description {
    let parameters = T::Config::describe().into_iter().map(|parameter| bindings::Parameter {
        name: parameter.name.to_owned(),
        kind: match parameter.kind {
            Kind::Text => bindings::ParameterKind::Text,
            Kind::Boolean => bindings::ParameterKind::Boolean,
            Kind::Whole => bindings::ParameterKind::Whole,
            Kind::Decimal => bindings::ParameterKind::Decimal,
        },
        required: parameter.required,
        default: parameter.default.map(str::to_owned),
        description: parameter.description.to_owned(),
    });
    bindings::Description {
        world: transform_frame::WORLD.to_owned(),
        name: T::NAME.to_owned(),
        version: T::VERSION.to_owned(),
        payload: bindings::Payload::Avro,
        schema: Some(T::Record::SCHEMA.to_owned()),
        parameters: parameters.collect(),
    }
}

/// The export `configure`. From here on a panic's text goes to the host's log.
pub fn configure<T: Transform>(place: &OnceLock<T::Config>, settings: &bindings::Settings) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| bindings::log(bindings::Level::Error, &panic.to_string())));
    let config = T::Config::parse(&settings.parameters)?;
    // Asked for nothing, so that a table that is missing is told now and not with the first order.
    if let Some(missing) = T::TABLES.iter().find(|table| crate::lookup(table, &[]).is_err()) {
        return Err(format!("it needs the lookup `{missing}`; name it in `lookups`, with `lookups.{missing}.topic`"));
    }
    place.set(config).map_err(|_| "configured twice".to_owned())
}

/// The export `process`.
///
/// # Panics
/// When the host calls it before `configure`, or with something that is no frame: the host's fault, seen as a trap.
#[expect(clippy::panic, reason = "a trap is how a guest tells the host that the host broke the contract")]
pub fn process<T: Transform>(place: &OnceLock<T::Config>, batch: &[u8]) -> Vec<u8> {
    let Some(config) = place.get() else { panic!("process was called before configure") };
    match crate::process::<T>(config, batch) {
        Ok(verdicts) => verdicts,
        Err(error) => panic!("the host wrote a broken batch: {error}"),
    }
}
