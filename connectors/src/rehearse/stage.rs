//! One rehearsal from its first question to its report. Removes nothing: see [`super::traces`].

mod moulds;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use self::moulds::Mould;
use super::compare::{compare, new_rows};
use super::growth::Growth;
use super::mark::{MARK, Mark, RETENTION_MS, Side};
use super::records::{self, Taken};
use super::redirect::{self, Target, Unredirectable};
use super::report::{Poison, Rate, Records, Report, Store};
use super::rows::Made;
use super::{Options, RehearseError, Sources};
use crate::compare::mask::Mask;
use crate::connect::{self, Settings};
use crate::files::Connector;
use crate::kafka::record::Record;
use crate::kafka::sender::Sender;
use crate::kafka::{Admin, blocking};
use crate::retry;
use crate::serve::isolate::run::{Ended, Run, STEP};
use crate::serve::isolate::stretch::{self, Stretch};
use crate::serve::probes::needs;

/// An edit that breaks more records than this breaks all of them, or enough to know.
const POISON_MOST: usize = 20;
/// Each record is read once: a second time would halve the rate that is told.
const COPIES: usize = 1;
/// The broker remembers each sender's name for days, so they are few; of two with one name the first is shut out, and
/// tries again, so often.
const SENDERS: u32 = 256;
const SHUT_OUT: u32 = 3;
/// When the connectors are cut off, this part of the time is left for reading and comparing.
const KEPT: u32 = 8;

/// What a rehearsal works with.
pub(super) struct Stage<'a> {
    pub(super) sources: &'a Sources,
    pub(super) file: &'a Connector,
    /// A schema that grows, and what its new fields need.
    pub(super) growth: Option<&'a Growth>,
    pub(super) options: Options,
    pub(super) mark: Mark,
    pub(super) until: Instant,
    pub(super) say: &'a (dyn Fn(String) + Send + Sync),
}

/// One side: its settings as they are, and what they write to.
struct Part {
    side: Side,
    settings: Settings,
    target: Target,
}

impl Stage<'_> {
    pub(super) async fn play(&self) -> Result<Report, RehearseError> {
        if self.file.is_pipeline() {
            return Err(RehearseError::Pipeline(self.file.name.clone()));
        }
        let mut report = Report { name: self.file.name.clone(), file: self.file.file.clone(), ..Report::default() };
        let (edited, live) = self.parts().await?;
        self.valid().await?;
        report.is_new = live.is_none();
        report.store = Store::of(&edited.target, live.as_ref().map(|live| &live.target));
        self.notes(&edited, live.as_ref(), &mut report);
        let parts: Vec<&Part> = live.iter().chain([&edited]).collect();
        let moulds = self.moulds(&parts, &mut report).await?;

        let taken = self.take(&edited, &mut report).await?;
        let all = taken.records.len();
        if all == 0 {
            return Ok(report);
        }
        (self.say)(format!("{all} records are laid out"));
        let bases = self.lay_out(&parts, &taken.records).await?;
        let base = |side: Side| bases.get(&side).copied().unwrap_or_default();
        for (part, mould) in parts.iter().zip(&moulds) {
            self.make(part, mould).await?;
        }
        let ended = match &live {
            Some(live) => {
                let (live, edited) = tokio::try_join!(
                    self.run(live, base(Side::Live), all),
                    self.run(&edited, base(Side::Edited), all)
                )?;
                BTreeMap::from([(Side::Live, live), (Side::Edited, edited)])
            }
            None => BTreeMap::from([(Side::Edited, self.run(&edited, base(Side::Edited), all).await?)]),
        };
        judge(&mut report, &taken.records, &ended);
        if report.incomplete.is_none() {
            (self.say)("comparing".to_owned());
            report.difference = self.compared(&parts, &moulds).await?;
        }
        Ok(report)
    }

    /// The file's settings, and those that run now.
    async fn parts(&self) -> Result<(Part, Option<Part>), RehearseError> {
        let connect = &self.sources.connect;
        let ask = || connect.settings(&self.file.name);
        let runs = retry::until(Instant::now() + STEP, "Kafka Connect", ask).await?;
        let part = |side, settings: Settings| -> Result<Part, RehearseError> {
            Ok(Part { side, target: redirect::target(&settings)?, settings })
        };
        let edited = part(Side::Edited, self.file.settings.clone())?;
        let live = runs.map(|settings| part(Side::Live, settings)).transpose()?;
        let ours = match &edited.target {
            Target::Table(_) => self.sources.postgres.address(),
            Target::Index { .. } => self.sources.elastic.base(),
        };
        if let Some(live) = &live {
            let (live_kind, edited_kind) = (live.target.kind(), edited.target.kind());
            if live_kind != edited_kind {
                let name = self.file.name.clone();
                return Err(RehearseError::OtherKind { name, live: live_kind, edited: edited_kind });
            }
            live.target.is_at(ours, None)?;
        }
        edited.target.is_at(ours, live.as_ref().map(|live| &live.target))?;
        Ok((edited, live))
    }

    /// What Kafka Connect says of the file, as it would be deployed.
    async fn valid(&self) -> Result<(), RehearseError> {
        let (connect, file) = (&self.sources.connect, self.file);
        let ask = || connect.validate(file.setting("connector.class"), &file.name, &file.settings);
        match retry::until(Instant::now() + STEP, "Kafka Connect", ask).await? {
            faults if faults.is_empty() => Ok(()),
            faults => {
                let mask = Mask::of([&file.settings]);
                let words = faults.iter().map(|fault| format!("{}: {}", fault.key, mask.hide(&fault.words)));
                Err(RehearseError::Refused(words.collect()))
            }
        }
    }

    fn notes(&self, edited: &Part, live: Option<&Part>, report: &mut Report) {
        if let Some(live) = live {
            let (before, after) = (live.target.name(), edited.target.name());
            if before != after {
                let kind = edited.target.kind();
                let note = format!(
                    "the file writes to {kind} {after} instead of {before}; a scratch {kind} stood in for each"
                );
                report.notes.push(note);
            }
            let (before, after) = (connect::topics(&live.settings), connect::topics(&edited.settings));
            if before != after {
                let note =
                    format!("the file reads {} instead of {}; both got the file's", after.join(","), before.join(","));
                report.notes.push(note);
            }
        }
        if edited.settings.get("errors.tolerance").is_some_and(|set| set == "all") {
            report.notes.push(
                "the file's errors.tolerance=all would pass over what converters and transforms fail on".to_owned(),
            );
        }
    }

    /// The newest records of the topics that the file names.
    async fn take(&self, edited: &Part, report: &mut Report) -> Result<Taken, RehearseError> {
        let topics = connect::topics(&edited.settings);
        if topics.is_empty() {
            return Err(Unredirectable::Unsure { key: "topics".to_owned(), way_out: "name the topics there" }.into());
        }
        (self.say)(format!("reading the newest {} records of {}", self.options.last, topics.join(", ")));
        let (kafka, last, until) = (self.sources.kafka.clone(), self.options.last, self.until.into_std());
        let names = topics.clone();
        let taken = blocking(move || records::newest(&kafka, &names, last, until)).await?;
        if 0 < taken.headers_out {
            let note =
                format!("{} headers that begin with CamelHeader. were left out of the copies", taken.headers_out);
            report.notes.push(note);
        }
        if taken.cut {
            report.notes.push("fewer records than asked for, since they are large".to_owned());
        }
        report.records = Records::of(&taken.records, topics);
        Ok(taken)
    }

    /// Lays out what each side reads; answers the offsets of the first.
    async fn lay_out(&self, parts: &[&Part], records: &[Record]) -> Result<BTreeMap<Side, i64>, RehearseError> {
        let Some(growth) = self.growth else {
            let base = self.write(self.mark.topic(), records.to_vec()).await?;
            return Ok(parts.iter().map(|part| (part.side, base)).collect());
        };
        let (registry, subject) = (&self.sources.registry, self.mark.subject_of(Side::Edited));
        let register = || registry.register(&subject, &growth.schema);
        let id = retry::until(Instant::now() + STEP, "the schema registry", register).await?;
        let mut bases = BTreeMap::new();
        for part in parts {
            let own = match part.side {
                Side::Live => records.to_vec(),
                Side::Edited => growth.grown(registry, id, records).await?,
            };
            bases.insert(part.side, self.write(self.topic(part.side), own).await?);
        }
        Ok(bases)
    }

    /// What a side reads.
    fn topic(&self, side: Side) -> String {
        if self.growth.is_some() { self.mark.topic_of(side) } else { self.mark.topic() }
    }

    /// Makes a topic and writes the copies; answers the offset of the first.
    async fn write(&self, topic: String, records: Vec<Record>) -> Result<i64, RehearseError> {
        let admin = Admin::new(&self.sources.kafka)?;
        let new = stretch::topic(&topic, RETENTION_MS);
        retry::until(Instant::now() + STEP, "Kafka", || admin.create(&new)).await?;
        let stretch = Arc::new(Stretch { suspects: records });
        let (kafka, name) = (self.sources.kafka.clone(), format!("connectors-rehearse-{}", self.mark.id % SENDERS));
        let laid = blocking(move || {
            let mut tries = 1..=SHUT_OUT;
            loop {
                let laid = stretch::lay_out(&Sender::new(&kafka, &name)?, &topic, &stretch, COPIES);
                // Another of the same name may have shut this one out.
                if laid.is_ok() || tries.next().is_none() {
                    return laid;
                }
            }
        });
        Ok(laid.await?)
    }

    /// Makes a side's scratch store, then its connector, which does not run yet.
    async fn make(&self, part: &Part, mould: &Mould) -> Result<(), RehearseError> {
        let (connect, scratch) = (&self.sources.connect, self.mark.store(part.side));
        mould.cast(self.sources, &scratch).await?;
        let (name, mut own) = (self.mark.connector(part.side), self.own(part)?);
        own.insert(MARK.to_owned(), name.clone());
        let made = || connect.create_stopped(&name, &own);
        Ok(retry::until(Instant::now() + STEP, "Kafka Connect", made).await?)
    }

    fn own(&self, part: &Part) -> Result<Settings, RehearseError> {
        Ok(redirect::onto(&part.settings, &part.target, &self.topic(part.side), &self.mark.store(part.side))?)
    }

    async fn run(&self, part: &Part, base: i64, all: usize) -> Result<Ended, RehearseError> {
        let (probes, connector) = (self.sources.probes(), self.mark.connector(part.side));
        let left = self.until.saturating_duration_since(Instant::now());
        let run = Run {
            connect: &self.sources.connect,
            probes: &probes,
            kafka: &self.sources.kafka,
            connector: &connector,
            topic: &self.topic(part.side),
            copies: COPIES,
            needs: needs(&self.own(part)?),
            allowed: POISON_MOST,
            budget: left.saturating_sub(left / KEPT),
        };
        let (say, side) = (self.say, part.side);
        let say = |tried, poison| {
            if 0 < tried {
                say(format!("{side}: {tried} of {all} records tried, {poison} not taken"));
            }
        };
        Ok(run.through(base, all, &say).await?)
    }

    async fn compared(&self, parts: &[&Part], moulds: &[Mould]) -> Result<super::compare::Difference, RehearseError> {
        let mut made = BTreeMap::<Side, Made>::new();
        for (part, mould) in parts.iter().zip(moulds) {
            made.insert(part.side, mould.made(self.sources, &self.mark.store(part.side)).await?);
        }
        let edited = made.remove(&Side::Edited).unwrap_or_default();
        Ok(match made.remove(&Side::Live) {
            Some(live) => compare(&live, &edited, self.options.examples),
            None => new_rows(&edited, self.options.examples),
        })
    }
}

/// What the runs came to: poison, rates, and whether all was tried.
fn judge(report: &mut Report, records: &[Record], ended: &BTreeMap<Side, Ended>) {
    let mut found = BTreeMap::<usize, Poison>::new();
    // The file's reason stands where both have one.
    for (side, ended) in ended.iter().rev() {
        for poison in &ended.poison {
            let Some(record) = records.get(poison.index) else { continue };
            found.entry(poison.index).or_insert_with(|| Poison::of(record, &poison.reason)).sides.push(*side);
        }
        report.rates.push(Rate::of(*side, ended.tried, ended.ran));
        if let Some(cut) = &ended.cut {
            let (tried, all) = (ended.tried, records.len());
            let failed = ended.halted.as_ref().map(|reason| format!(" ({}: {})", reason.class, reason.message));
            let words =
                format!("{side}: {tried} of {all} records were tried, since {cut}{}", failed.unwrap_or_default());
            report.incomplete = Some(match report.incomplete.take() {
                Some(before) => format!("{before}; {words}"),
                None => words,
            });
        }
    }
    report.poison = found.into_values().collect();
}

#[cfg(test)]
mod tests;
