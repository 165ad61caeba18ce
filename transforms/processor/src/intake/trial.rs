//! Runs modules on sample records. What comes out must fit the schema (the dry run), and must be the same whatever came
//! before: in order, in reverse, in batches of 1, 7 and 500, on an instance that is used on and on fresh ones (the purity
//! check). That is what makes a replay, a retry after a crash and a row's header mean something. An upload is tried alone,
//! the modules of a pipeline with what that has around them ([`Around`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use transform_host::{Chain, Engine, FaultKind, NamedOutput, Options, Record, Step, Tables, Verdict};

use super::difference;
use super::samples::{self, Sample, Samples};

/// Sizes of batches.
const BATCHES: [usize; 3] = [500, 7, 1];
/// All runs together. A module within its limits takes a hundredth of it.
const TIME: Duration = Duration::from_secs(60);
/// A machine that is busy makes a good module run out of time now and then, but not so often in a row.
const TRIES: usize = 4;

/// What is tried.
pub struct Trial<'a> {
    /// Whose modules they are.
    pub engine: &'a Arc<Engine>,
    /// The modules.
    pub steps: Vec<Step>,
    /// Of what comes out.
    pub schema: &'a str,
    /// As in the pipeline.
    pub single_output: bool,
    /// Only what a fresh instance makes of a whole batch must be the same each time.
    pub stateful: bool,
}

/// What a pipeline has around its modules. By default nothing is known of it, as of an upload.
#[derive(Default)]
pub struct Around<'a> {
    /// The topics that it reads: predicates may ask for them.
    pub topics: Vec<Arc<str>>,
    /// As [`Options::outputs`].
    pub outputs: Option<BTreeMap<String, NamedOutput>>,
    /// As [`Options::tables`]. They must not change meanwhile.
    pub tables: Option<Arc<dyn Tables>>,
    /// Why a record that was made of a sample cannot be written where it goes; the sample comes first.
    pub misfit: Option<&'a Misfit<'a>>,
    /// Whether it must end at once, with what it has not found out.
    pub stop: Option<&'a Stop<'a>>,
}

/// As [`Around::misfit`].
pub type Misfit<'a> = dyn Fn(&Record, &Record) -> Option<String> + 'a;
/// As [`Around::stop`].
pub type Stop<'a> = dyn Fn() -> bool + 'a;

/// When all runs must be over.
struct End<'a> {
    time: Instant,
    stop: Option<&'a Stop<'a>>,
}

impl End<'_> {
    /// Why the next batch is not tried.
    fn has_come(&self) -> Option<String> {
        if self.stop.is_some_and(|stop| stop()) {
            return Some("the sample was not tried to its end".to_owned());
        }
        (Instant::now() >= self.time).then(|| format!("the sample took longer than {} s", TIME.as_secs()))
    }
}

/// What became of the sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Records that were tried.
    pub records: usize,
    /// Records that came out.
    pub emitted: usize,
    /// Records that a module dropped.
    pub dropped: usize,
    /// Records that a module rejected.
    pub rejected: usize,
}

/// What a module did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Not what came out, but that it was not always the same.
    pub impure: bool,
    /// The sample record.
    pub record: String,
    /// What came out does not fit this output beside the main one.
    pub output: Option<Arc<str>>,
    /// In words.
    pub text: String,
}

impl Trial<'_> {
    /// Runs it without a pipeline around. Blocks.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn run(&self) -> Result<Report, Finding> {
        self.run_in(&Around::default())
    }

    /// Runs it with what a pipeline has around. Blocks.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn run_in(&self, around: &Around<'_>) -> Result<Report, Finding> {
        let mut samples =
            samples::of(self.schema).map_err(|why| self.finding("none", format!("no sample records: {why}")))?;
        samples.come_from(&around.topics);
        let end = End { time: Instant::now() + TIME, stop: around.stop };
        let mut chain = self.chain(around)?;
        let expected = self.pass(&mut chain, &refs(&samples.all), samples.all.len(), &end)?;
        let report = self.judge(&samples, &expected, around)?;
        if self.stateful {
            let mut fresh = self.chain(around)?;
            let again = self.pass(&mut fresh, &refs(&samples.all), samples.all.len(), &end)?;
            self.same(&samples.all, &expected, &again, "the same batch on another fresh instance")?;
            return Ok(report);
        }
        self.keeps_nothing((&samples, expected.as_slice()), &mut chain, || self.chain(around), &end)?;
        Ok(report)
    }

    /// Whatever came before, the same comes out: on the chain that has seen all samples, and on fresh ones.
    fn keeps_nothing(
        &self,
        (samples, expected): (&Samples, &[Verdict]),
        chain: &mut Chain,
        fresh: impl Fn() -> Result<Chain, Finding>,
        end: &End<'_>,
    ) -> Result<(), Finding> {
        for size in BATCHES {
            let made = self.pass(chain, &refs(&samples.all), size, end)?;
            self.same(&samples.all, expected, &made, &format!("in batches of {size}, after others"))?;
        }
        let reversed: Vec<&Sample> = samples.all.iter().rev().collect();
        let mut made = self.pass(chain, &reversed, reversed.len(), end)?;
        made.reverse();
        self.same(&samples.all, expected, &made, "in reverse order")?;
        for size in [1, 7] {
            for (records, expected) in
                samples.all.chunks(size).zip(expected.chunks(size)).take(samples.distinct.div_ceil(size))
            {
                let made = self.pass(&mut fresh()?, &refs(records), size, end)?;
                self.same(records, expected, &made, &format!("in a batch of {size} on a fresh instance"))?;
            }
        }
        Ok(())
    }

    fn chain(&self, around: &Around<'_>) -> Result<Chain, Finding> {
        let mut tries = 0;
        loop {
            let (outputs, tables) = (around.outputs.clone(), around.tables.clone());
            let options = Options { single_output: self.single_output, outputs, tables };
            match Chain::with_options(self.engine, self.steps.clone(), self.schema, options) {
                Ok(chain) => return Ok(chain),
                Err(_) if tries + 1 < TRIES => tries += 1,
                Err(error) => return Err(self.finding("none", error.to_string())),
            }
        }
    }

    /// One verdict a record, in batches of this size.
    fn pass(
        &self,
        chain: &mut Chain,
        samples: &[&Sample],
        size: usize,
        end: &End<'_>,
    ) -> Result<Vec<Verdict>, Finding> {
        let mut verdicts = Vec::with_capacity(samples.len());
        for batch in samples.chunks(size) {
            let records: Vec<Record> = batch.iter().map(|sample| sample.record.clone()).collect();
            let mut done = 0;
            while let Some(rest) = records.get(done..).filter(|rest| !rest.is_empty()) {
                let name = batch.get(done).map_or("none", |sample| sample.name.as_str());
                if let Some(text) = end.has_come() {
                    return Err(self.finding(name, text));
                }
                let made = self.patiently(chain, rest, name)?;
                done += made.len();
                verdicts.extend(made);
            }
        }
        Ok(verdicts)
    }

    fn patiently(&self, chain: &mut Chain, records: &[Record], name: &str) -> Result<Vec<Verdict>, Finding> {
        let late =
            |verdict: &Verdict| matches!(verdict, Verdict::Reject(rejection) if rejection.kind == FaultKind::Deadline);
        let mut tries = 0;
        loop {
            chain.begin();
            tries += 1;
            match chain.apply(records) {
                // What the first of them took too long for is tried again with it at the front; see `judge`.
                Ok(mut verdicts) if tries < TRIES && verdicts.iter().any(late) => {
                    verdicts.truncate(verdicts.iter().position(late).unwrap_or(verdicts.len()));
                    if !verdicts.is_empty() {
                        return Ok(verdicts);
                    }
                }
                Ok(verdicts) => return Ok(verdicts),
                Err(_) if tries < TRIES => {}
                Err(error) => return Err(self.finding(name, error.to_string())),
            }
        }
    }

    /// Rejecting is a module's right; breaking is not.
    fn judge(&self, samples: &Samples, verdicts: &[Verdict], around: &Around<'_>) -> Result<Report, Finding> {
        let mut report = Report { records: verdicts.len(), ..Report::default() };
        for (sample, verdict) in samples.all.iter().zip(verdicts) {
            match verdict {
                Verdict::Emit(records) => {
                    records.iter().try_for_each(|made| self.fits(sample, made, around))?;
                    report.emitted += records.len();
                }
                Verdict::Drop { .. } => report.dropped += 1,
                Verdict::Reject(rejection) if rejection.kind == FaultKind::Rejected => report.rejected += 1,
                Verdict::Reject(rejection) => {
                    let text = format!(
                        "{} breaks on sample record {} ({}): {}",
                        rejection.module,
                        sample.name,
                        rejection.kind.name(),
                        rejection.reason
                    );
                    return Err(self.finding(&sample.name, text));
                }
            }
        }
        Ok(report)
    }

    /// What comes out must be writable where it goes.
    fn fits(&self, sample: &Sample, made: &Record, around: &Around<'_>) -> Result<(), Finding> {
        let Some(why) = around.misfit.and_then(|misfit| misfit(&sample.record, made)) else { return Ok(()) };
        let maker = made.passed.last().and_then(|place| self.steps.get(place));
        let maker = maker.map_or_else(|| "the pipeline".to_owned(), |step| step.module.label());
        let place = made.output.as_ref().map(|name| format!(" for the output `{name}`")).unwrap_or_default();
        let text = format!("what {maker} makes of sample record {}{place} cannot be written: {why}", sample.name);
        Err(Finding { output: made.output.clone(), ..self.finding(&sample.name, text) })
    }

    /// The first record that differs, and in what.
    fn same(&self, samples: &[Sample], expected: &[Verdict], made: &[Verdict], how: &str) -> Result<(), Finding> {
        let differs = samples.iter().zip(expected.iter().zip(made)).find(|(_, (expected, made))| expected != made);
        match differs {
            None => Ok(()),
            Some((sample, (expected, made))) => {
                let what = elsewhere(expected, made);
                let what = what.unwrap_or_else(|| difference::between(self.schema, expected, made));
                let text = format!("sample record {} comes out otherwise {how} than at first: {what}", sample.name);
                Err(Finding { impure: true, ..self.finding(&sample.name, text) })
            }
        }
    }

    fn finding(&self, record: &str, text: String) -> Finding {
        Finding { impure: false, record: record.to_owned(), output: None, text }
    }
}

/// That a record goes to one output and then to another, where that is the difference.
fn elsewhere(first: &Verdict, second: &Verdict) -> Option<String> {
    let (Verdict::Emit(first), Verdict::Emit(second)) = (first, second) else { return None };
    if first.len() != second.len() {
        return None;
    }
    let (first, second) = first.iter().zip(second).find(|(first, second)| first.output != second.output)?;
    let name = |record: &Record| record.output.as_deref().map_or_else(|| "main".to_owned(), |name| format!("`{name}`"));
    Some(format!("it goes to the output {} and then to {}", name(first), name(second)))
}

fn refs(samples: &[Sample]) -> Vec<&Sample> {
    samples.iter().collect()
}
