//! What a dead letter does not say of its pipeline: the topics that it wrote, the names by which modules sent there, and
//! the steps beside those that the record went through. The pipeline's versions say it: the stored one, and those that ran
//! before. Which of them was the letter's shows in its modules, and in the end that a replay comes to; a record that was
//! written names its modules only, so that all else of it is looked for here, too.

use anyhow::bail;
use transform_host::When;

use crate::pipeline::spec::{self, Spec};
use crate::record::divert::{Chain, Link};
use crate::state::catalog::{Catalog, Pin};
use crate::state::facts::Version;

/// How near this is to what the letter's worker had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// The pipeline has the letter's modules; or the record came to none.
    Same,
    /// A version of it that ran before had them.
    Earlier,
    /// The letter names no modules: they are the pipeline's.
    Now,
    /// No version has them any more: what goes out is the pipeline's.
    Changed,
    /// Nobody knows what went out, and why.
    Gone(String),
}

/// What a replay runs in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// What the pipeline's config says; `None`: nobody knows it.
    pub(super) spec: Option<Spec>,
    /// The modules.
    pub(super) steps: Vec<Part>,
    /// So many of them hold those that the letter names, the last of which is where it ended.
    pub(super) behind: usize,
    /// How near it is.
    pub(super) basis: Basis,
}

/// A module of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) link: Link,
    pub(super) when: Option<When>,
}

/// What is known of a pipeline.
struct Versions {
    /// The one that is stored, or why there is none.
    stored: Result<Known, String>,
    /// Those that ran before, the latest first.
    earlier: Vec<Known>,
}

/// What a version says.
type Known = (Spec, Vec<Part>);

impl Versions {
    fn of(catalog: &Catalog, pipeline: &str) -> Self {
        let stored = stored(catalog, pipeline);
        let ran = catalog.facts(pipeline).ran.into_iter().filter_map(|ran| known(pipeline, &ran.version).ok());
        let earlier = ran.filter(|version| stored.as_ref() != Ok(version)).collect();
        Self { stored, earlier }
    }

    /// All of them, the likeliest first. `now` is how near the stored one is.
    fn all(&self, now: &Basis) -> impl Iterator<Item = (Known, Basis)> {
        let stored = self.stored.iter().map(|version| (version.clone(), now.clone()));
        stored.chain(self.earlier.iter().map(|version| (version.clone(), Basis::Earlier)))
    }
}

impl Setting {
    /// Whether it has these modules, in their order, whatever they are told.
    pub(super) fn has(&self, labels: &[&str]) -> bool {
        behind(&self.steps, labels, |step, label| step.link.module == **label).is_some()
    }
}

/// The settings that a record of this topic may have been written in, the likeliest first; none where no version of the
/// pipeline that is known writes there. It went through all that it came to.
pub(super) fn writing(catalog: &Catalog, pipeline: &str, topic: &str) -> Vec<Setting> {
    let writes = |spec: &Spec| spec.output == topic || spec.outputs.values().any(|output| output == topic);
    let versions = Versions::of(catalog, pipeline);
    let writing = versions.all(&Basis::Same).filter(|((spec, _), _)| writes(spec));
    writing.map(|((spec, steps), basis)| Setting { spec: Some(spec), behind: steps.len(), steps, basis }).collect()
}

/// The settings that a letter may come from, the likeliest first; at least one.
///
/// # Errors
/// When neither the letter nor a pipeline names modules.
pub(super) fn all(catalog: &Catalog, chain: &Chain) -> anyhow::Result<Vec<Setting>> {
    let (pipeline, links) = (&chain.pipeline, &chain.steps);
    let versions = Versions::of(catalog, pipeline);
    let now = if links.is_empty() { Basis::Now } else { Basis::Same };
    let fitting = versions.all(&now).filter_map(|((spec, steps), basis)| {
        let behind = behind(&steps, links, |step, link| step.link == *link)?;
        Some(Setting { spec: Some(spec), steps, behind, basis })
    });
    let mut settings: Vec<Setting> = fitting.collect();
    let (spec, basis) = match versions.stored {
        Ok((spec, _)) => (Some(spec), Basis::Changed),
        Err(why) if settings.is_empty() && links.is_empty() => {
            bail!("the letter names no modules, and {why}, which would")
        }
        Err(why) => (None, Basis::Gone(why)),
    };
    // As the letter names them, should no version have them, or one of the others not be had any more.
    if !links.is_empty() {
        let steps: Vec<Part> = links.iter().map(|link| Part { link: link.clone(), when: None }).collect();
        settings.push(Setting { spec, behind: steps.len(), steps, basis });
    }
    Ok(settings)
}

fn stored(catalog: &Catalog, pipeline: &str) -> Result<Known, String> {
    match catalog.pipeline(pipeline) {
        Some(Ok(stored)) => known(pipeline, &Version::of(&stored)),
        Some(Err(reason)) => Err(format!("pipeline {pipeline} cannot be read ({reason})")),
        None => Err(format!("there is no pipeline {pipeline} any more")),
    }
}

fn known(pipeline: &str, version: &Version) -> Result<Known, String> {
    let faults = |faults: Vec<spec::Fault>| {
        let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect();
        format!("pipeline {pipeline} cannot be read ({})", faults.join("; "))
    };
    let spec = spec::parse(pipeline, &version.config).map_err(faults)?;
    let part = |step: &spec::Step| {
        let pin = version.modules.get(&step.alias);
        let pin = pin.ok_or_else(|| format!("pipeline {pipeline} has no module for {}", step.alias))?;
        let link = Link { module: label(pin), parameters: step.parameters.clone() };
        Ok(Part { link, when: step.when.clone() })
    };
    let steps = spec.steps.iter().map(part).collect::<Result<Vec<_>, String>>()?;
    Ok((spec, steps))
}

/// As the module says it of itself, without loading it.
fn label(pin: &Pin) -> String {
    format!("{}+sha256:{}", pin.module, pin.digest.get(..12).unwrap_or(&pin.digest))
}

/// How many of the steps it takes to have all of these modules, in their order; `None` where they are not all there.
fn behind<T>(steps: &[Part], wanted: &[T], is: impl Fn(&Part, &T) -> bool) -> Option<usize> {
    let mut rest = steps.iter().enumerate();
    wanted.iter().try_fold(0, |_, wanted| rest.find(|(_, step)| is(step, wanted)).map(|(at, _)| at + 1))
}

#[cfg(test)]
mod tests {
    use schemas::names::topics;
    use serde_json::json;
    use transform_host::{Engine, Limits};

    use super::*;
    use crate::state::catalog::{Stored, Target};
    use crate::state::facts::{Fact, Ran};

    /// A pipeline whose modules are `a`, between two others, in this version; `vip` is an output beside the main one.
    fn stored(version: &str, vip: bool) -> Stored {
        let mut config = json!({
            "connector.class": "orderflow.WasmPipeline", "topics": "in", "output.topic": "out",
            "transforms": "first,a,last", "transforms.a.type": format!("a@{version}"), "transforms.a.x": "1",
            "transforms.first.type": "other@1.0.0", "transforms.last.type": "other@1.0.0",
        });
        if vip {
            config["outputs"] = json!("vip");
            config["outputs.vip.topic"] = json!("vip");
        }
        let pin = |name: &str, version: &str| Pin { module: format!("{name}@{version}"), digest: "ab".repeat(32) };
        Stored {
            config: serde_json::from_value(config).unwrap(),
            state: Target::Started,
            modules: [("first", pin("other", "1.0.0")), ("a", pin("a", version)), ("last", pin("other", "1.0.0"))]
                .map(|(alias, pin)| (alias.to_owned(), pin))
                .into(),
        }
    }

    /// What is read of a pipeline `p`: what is stored, and the versions that ran before.
    fn catalog(now: Option<&Stored>, ran: &[Stored]) -> Catalog {
        let catalog = Catalog::new(Engine::new(Limits::default()).unwrap());
        if let Some(now) = now {
            catalog.apply(topics::TRANSFORMS_CONFIG, 0, b"p", Some(&serde_json::to_vec(now).unwrap()));
        }
        let ran = ran.iter().map(|stored| Ran { version: Version::of(stored), passed: true }).collect();
        let (key, value) = Fact::Ran(ran).record("p");
        catalog.apply(topics::TRANSFORMS_CONFIG, 1, key.as_bytes(), value.as_deref());
        catalog
    }

    fn letter(modules: &[&str]) -> Chain {
        let link = |name: &&str| {
            let parameters = name.starts_with('a').then(|| ("x".to_owned(), "1".to_owned()));
            Link { module: format!("{name}+sha256:abababababab"), parameters: parameters.into_iter().collect() }
        };
        Chain { pipeline: "p".to_owned(), schema: 7, steps: modules.iter().map(link).collect() }
    }

    /// Of each setting how near it is, how many steps it has, how many of them are behind, and whether it knows `vip`.
    fn seen(catalog: &Catalog, letter: &Chain) -> Vec<(Basis, usize, usize, Option<bool>)> {
        let seen = |setting: Setting| {
            let vip = setting.spec.map(|spec| spec.outputs.contains_key("vip"));
            (setting.basis, setting.steps.len(), setting.behind, vip)
        };
        all(catalog, letter).unwrap().into_iter().map(seen).collect()
    }

    #[test]
    fn a_letter_comes_from_a_version_that_has_its_modules_the_stored_one_first() {
        let (now, before) = (stored("1.0.0", true), stored("1.0.0", false));
        let catalog = catalog(Some(&now), &[now.clone(), before, stored("0.9.0", false)]);
        let (same, earlier) = ((Basis::Same, 3, 2, Some(true)), (Basis::Earlier, 3, 2, Some(false)));
        let alone = (Basis::Changed, 1, 1, Some(true));
        assert_eq!(seen(&catalog, &letter(&["a@1.0.0"])), [same, earlier, alone]);
        let old = [(Basis::Earlier, 3, 2, Some(false)), (Basis::Changed, 2, 2, Some(true))];
        assert_eq!(seen(&catalog, &letter(&["other@1.0.0", "a@0.9.0"])), old);
        let other_order = [(Basis::Changed, 2, 2, Some(true))];
        assert_eq!(seen(&catalog, &letter(&["a@0.9.0", "a@1.0.0"])), other_order);
    }

    #[test]
    fn a_letter_without_modules_may_come_from_each_version() {
        let (now, before) = (stored("1.0.0", true), stored("1.0.0", false));
        let found = seen(&catalog(Some(&now), &[before]), &letter(&[]));
        assert_eq!(found, [(Basis::Now, 3, 0, Some(true)), (Basis::Earlier, 3, 0, Some(false))]);
    }

    #[test]
    fn without_the_pipeline_the_letters_own_modules_are_left_or_nothing() {
        let gone = catalog(None, &[]);
        let why = Basis::Gone("there is no pipeline p any more".to_owned());
        assert_eq!(seen(&gone, &letter(&["a@1.0.0"])), [(why, 1, 1, None)]);
        let words = all(&gone, &letter(&[])).unwrap_err().to_string();
        assert_eq!(words, "the letter names no modules, and there is no pipeline p any more, which would");
    }

    #[test]
    fn a_written_record_comes_from_a_version_that_writes_its_topic_and_has_its_modules_whatever_they_are_told() {
        let (now, before) = (stored("1.0.0", false), stored("1.0.0", true));
        let catalog = catalog(Some(&now), &[now.clone(), before, stored("0.9.0", false)]);
        let found = |topic: &str, labels: &[&str]| {
            let label = |name: &&str| format!("{name}+sha256:abababababab");
            let labels: Vec<String> = labels.iter().map(label).collect();
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let writing = writing(&catalog, "p", topic).into_iter().filter(|setting| setting.has(&labels));
            writing.map(|setting| (setting.basis, setting.behind)).collect::<Vec<_>>()
        };
        let (same, earlier) = ((Basis::Same, 3), (Basis::Earlier, 3));
        assert_eq!(found("out", &["other@1.0.0", "a@1.0.0", "other@1.0.0"]), [same, earlier.clone()]);
        assert_eq!(found("out", &["a@0.9.0"]), std::slice::from_ref(&earlier));
        assert_eq!(found("vip", &["a@1.0.0"]), [earlier], "it does not write there any more");
        assert!(found("out", &["a@1.0.0", "a@1.0.0"]).is_empty() && found("in", &["a@1.0.0"]).is_empty());
    }

    #[test]
    fn a_letters_modules_must_stand_in_their_order() {
        let part = |name: &str| Part {
            link: Link { module: name.to_owned(), parameters: std::collections::BTreeMap::new() },
            when: None,
        };
        let steps = ["a", "b", "c"].map(part);
        for (names, expected) in [
            (&["a", "c"][..], Some(3)),
            (&["b"], Some(2)),
            (&[], Some(0)),
            (&["c", "a"], None),
            (&["a", "a"], None),
            (&["x"], None),
        ] {
            let links: Vec<Link> = names.iter().map(|name| part(name).link).collect();
            assert_eq!(behind(&steps, &links, |step, link| step.link == *link), expected, "{names:?}");
        }
    }
}
