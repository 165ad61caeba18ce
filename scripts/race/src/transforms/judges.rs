//! Who judges records in a measured loop: the chain in its sandbox, or the same code without one.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use race_native::{Module, Native};
use schemas::{contracts, resolution::Resolver};
use transform_host::{Chain, ChainError, Engine, FaultKind, Limits, Options, Passed, Record, Rejection, Step, Verdict};
use transform_sdk::frame::{self, BatchWriter, RecordParts};
use transforms::record::judge::{Judge, Unjudged};

use crate::{direct, orders::Ids};

/// The rates of the shipped pipeline.
const RATES: &str = "EUR:1.08,GBP:1.27,JPY:0.0067";
/// Records of the comparison.
const COMPARED: u64 = 2_000;

/// The parameters of `enrich`.
pub(crate) fn parameters() -> BTreeMap<String, String> {
    BTreeMap::from([("home.currency".to_owned(), "USD".to_owned()), ("rates".to_owned(), RATES.to_owned())])
}

/// The chain in its sandbox, from the files in `modules`.
pub(super) fn sandboxed(modules: &Path) -> anyhow::Result<Chain> {
    chain(modules, 2)
}

/// So many steps in a sandbox: `clean` and `enrich` in turn.
pub(super) fn chain(modules: &Path, count: usize) -> anyhow::Result<Chain> {
    chains(modules, count, 1)?.pop().context("no chain")
}

/// So many such chains of one engine, as the tasks of a pipeline have them.
pub(super) fn chains(modules: &Path, count: usize, times: usize) -> anyhow::Result<Vec<Chain>> {
    let engine = Engine::new(Limits::default())?;
    let load = |name: &str| {
        let path = modules.join(format!("{name}.wasm"));
        let wasm = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok(engine.load(&wasm)?)
    };
    let (clean, enrich) = (load("clean")?, load("enrich")?);
    let alias = |name: &str, at| if at < 2 { name.to_owned() } else { format!("{name}{at}") };
    let step = |at: usize| match at % 2 {
        0 => Step::new(alias("clean", at), Arc::clone(&clean), BTreeMap::new()),
        _ => Step::new(alias("enrich", at), Arc::clone(&enrich), parameters()),
    };
    let chain = |_| {
        let options = Options { single_output: true, ..Options::default() };
        Ok(Chain::with_options(&engine, (0..count).map(step).collect(), contracts::ORDER_PLACED_AVSC, options)?)
    };
    (0..times).map(chain).collect()
}

/// The same code without a sandbox.
pub(super) struct Unboxed {
    native: Native,
    header: String,
}

impl Unboxed {
    /// With the same parameters. `header` is what the sandboxed chain writes, so that records are of equal size.
    pub(super) fn new(header: String) -> anyhow::Result<Self> {
        let enrich: Vec<_> = parameters().into_iter().collect();
        Ok(Self { native: Native::new(&enrich).map_err(anyhow::Error::msg)?, header })
    }

    /// One verdict a record.
    pub(super) fn apply(&self, records: &[Record]) -> Result<Vec<Verdict>, String> {
        let [first, second] = Native::CHAIN;
        let mut verdicts = self.call(first, "clean", records.iter())?;
        let emitted = verdicts.iter().filter_map(one);
        let mut next = self.call(second, "enrich", emitted)?.into_iter();
        for verdict in verdicts.iter_mut().filter(|verdict| one(verdict).is_some()) {
            *verdict = next.next().ok_or("a record without a verdict")?;
        }
        Ok(verdicts)
    }

    fn call<'r>(
        &self,
        module: Module,
        name: &str,
        records: impl Iterator<Item = &'r Record> + Clone,
    ) -> Result<Vec<Verdict>, String> {
        let mut batch = BatchWriter::with_capacity(records.clone().map(|record| 64 + record.value.len()).sum());
        for record in records.clone() {
            let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let (key, value, timestamp_ms) = (record.key.as_deref(), record.value.as_slice(), record.timestamp_ms);
            batch.record(&RecordParts { key, value, timestamp_ms, headers }).map_err(|error| error.to_string())?;
        }
        let frame = module(&self.native, &batch.finish()).map_err(|error| error.to_string())?;
        let verdicts = frame::Verdicts::parse(&frame).map_err(|error| error.to_string())?;
        let judged = verdicts.zip(records).map(|(verdict, record)| {
            let verdict = verdict.map_err(|error| error.to_string())?;
            Ok(match verdict {
                frame::Verdict::Drop => Verdict::Drop { module: name.to_owned() },
                frame::Verdict::Reject(reason) => Verdict::Reject(rejection(name, reason)),
                frame::Verdict::Replace(value) => {
                    Verdict::Emit(vec![Record { value: value.to_vec(), ..record.clone() }])
                }
                _ => return Err(format!("{name} emits several records")),
            })
        });
        judged.collect()
    }
}

fn one(verdict: &Verdict) -> Option<&Record> {
    match verdict {
        Verdict::Emit(records) => records.first(),
        Verdict::Drop { .. } | Verdict::Reject(_) => None,
    }
}

fn rejection(name: &str, reason: &str) -> Rejection {
    let (alias, module) = (name.to_owned(), name.to_owned());
    Rejection { alias, module, kind: FaultKind::Rejected, reason: reason.to_owned(), passed: Passed::default() }
}

impl Judge for Unboxed {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        self.apply(records).map_err(|reason| ChainError::Start { module: "native".to_owned(), reason }.into())
    }

    fn header(&self) -> &str {
        &self.header
    }
}

/// So many different records, as the chain gets them.
pub(super) fn records(count: u64) -> anyhow::Result<Vec<Record>> {
    let resolver = Resolver::new(contracts::ORDERS_RECEIVED_AVSC, contracts::ORDER_PLACED_AVSC)?;
    let ids = Ids::default();
    let record = |number| {
        let id = ids.id(number);
        let mut order = direct::order(&id)?;
        // Of these some are tidied, some have no rate, and some are rejected.
        let currencies = ["EUR", "usd", "JPY", "chf", "XXZ"];
        order.currency = currencies.get(number as usize % 7).map(|currency| (*currency).to_owned());
        order.customer = format!("  Zoe {}  Berg\u{301}", number % 100);
        let mut datum = Vec::new();
        schemas::codec::encode(&order, &mut datum);
        let value = resolver.resolve(&datum)?;
        anyhow::Ok(Record { key: Some(id.into_bytes()), value, timestamp_ms: 1_778_051_289_123, ..Record::default() })
    };
    (0..count).map(record).collect()
}

/// Compares what both make of the same records, and says how many they were.
///
/// # Errors
/// At the first difference.
pub(super) fn compare(modules: &Path) -> anyhow::Result<String> {
    let (mut chain, records) = (sandboxed(modules)?, records(COMPARED)?);
    let native = Unboxed::new(chain.header().to_owned())?;
    let (mut emitted, mut rejected) = (0, 0);
    for batch in records.chunks(100) {
        chain.begin();
        let (boxed, unboxed) = (chain.apply(batch)?, native.apply(batch).map_err(anyhow::Error::msg)?);
        ensure!(boxed.len() == batch.len() && unboxed.len() == batch.len(), "not every record has a verdict");
        for (boxed, unboxed) in boxed.iter().zip(&unboxed) {
            match (boxed, unboxed) {
                (Verdict::Emit(ours), Verdict::Emit(theirs)) if ours == theirs => emitted += 1,
                (Verdict::Reject(ours), Verdict::Reject(theirs)) if ours.reason == theirs.reason => rejected += 1,
                _ => anyhow::bail!("the sandbox says {boxed:?}, the native code {unboxed:?}"),
            }
        }
    }
    ensure!(0 < emitted && 0 < rejected, "the records show too little: {emitted} emitted, {rejected} rejected");
    Ok(format!("compared before: {emitted} records equal byte for byte, {rejected} rejected with equal reasons"))
}
