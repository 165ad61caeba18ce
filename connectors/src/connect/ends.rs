//! Where records may end that a pipeline does not write to its output topic, as its settings name the topics. What they
//! mean is told in `PIPELINE.md`.

use super::Settings;

/// Where bad records go; nothing where they have no topic, and stop the pipeline.
#[must_use]
pub fn letters(settings: &Settings) -> Option<String> {
    named(settings, "errors.deadletterqueue.topic.name")
}

/// Where records leave a marker that a module drops, if it is not the house's topic.
#[must_use]
pub fn dropped(settings: &Settings) -> Option<String> {
    named(settings, "dropped.topic.name")
}

/// The outputs beside the main one, to which modules may send records.
#[must_use]
pub fn outputs(settings: &Settings) -> Vec<String> {
    let names = named(settings, "outputs").unwrap_or_default();
    names.split(',').filter_map(|name| named(settings, &format!("outputs.{}.topic", name.trim()))).collect()
}

fn named(settings: &Settings, key: &str) -> Option<String> {
    settings.get(key).map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}
