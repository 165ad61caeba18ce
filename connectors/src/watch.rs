//! `connectors watch`: the status again and again, with how fast each partition is read and how long a backlog still
//! takes. On a terminal one screen is drawn over; elsewhere each look is a line a connector, and one for dead letters.
//! For programs each look is one line: the JSON of a status, with the rates that a single look has not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use crate::decode::plain;
use crate::status::{self, Memory, Partition, Report, Row, Sources};

/// So many waiting partitions of a connector are shown.
const SHOWN: usize = 12;
/// Of the newest look in a rate; the rest is of those before.
const WEIGHT: f64 = 0.4;
/// A bar's width.
const WIDTH: usize = 30;
/// Fewer records are no backlog: they are gone before a bar is read.
const BACKLOG: i64 = 50;

/// How each look is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Over the one before, on a terminal.
    Screen,
    /// As lines of a log.
    Lines,
    /// As one object on one line, for programs.
    Json,
}

/// Looks until it is interrupted, nobody reads any more, or so many looks are done.
pub async fn run(sources: &Sources, every: Duration, looks: Option<u32>, form: Form) {
    let (mut screen, mut memory) = (Screen::default(), Memory::default());
    let mut left = looks;
    // One for all looks: between two of them somebody may interrupt it as well.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let round = async {
            let begun = Instant::now();
            let report = status::gather_with(sources, &mut memory).await;
            // A pipe whose reader is gone, too, ends it here: nobody is left to be told.
            let is_read = show(&mut io::stdout().lock(), &mut screen, &report, form).is_ok();
            left = left.map(|left| left.saturating_sub(1));
            if is_read && left != Some(0) {
                tokio::time::sleep_until(begun + every).await;
            }
            is_read
        };
        let is_read = tokio::select! {
            is_read = round => is_read,
            _ = &mut interrupted => false,
        };
        if !is_read || left == Some(0) {
            return;
        }
    }
}

/// Writes one look and sends it off. On a terminal over what was there, without a flicker; what is left below goes.
fn show(out: &mut impl Write, screen: &mut Screen, report: &Report, form: Form) -> io::Result<()> {
    match form {
        Form::Screen => {
            let text = screen.look(Instant::now(), report, true);
            let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
            write!(out, "\x1b[H{lines}\x1b[J")?;
        }
        Form::Lines => out.write_all(screen.look(Instant::now(), report, false).as_bytes())?,
        Form::Json => {
            screen.hear(Instant::now(), report);
            out.write_all((serde_json::to_string(&screen.rated(report))? + "\n").as_bytes())?;
        }
    }
    out.flush()
}

/// What is remembered from look to look: of each connector that is there, and of no other.
#[derive(Debug, Default)]
pub struct Screen {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    /// By partition: where it stood, and records a second, if it was seen before.
    places: BTreeMap<(String, i32), (i64, Option<f64>)>,
    /// Whether there was a look before the last, so that a rate means something.
    rated: bool,
    /// The most that waited since nothing did.
    peak: i64,
}

impl Seen {
    fn rate(&self) -> f64 {
        self.places.values().filter_map(|(_, rate)| *rate).sum()
    }

    fn rate_of(&self, one: &Partition) -> Option<f64> {
        self.places.get(&(one.topic.clone(), one.partition))?.1
    }
}

impl Screen {
    /// Takes a report in; answers what is to be shown.
    pub fn look(&mut self, now: Instant, report: &Report, is_terminal: bool) -> String {
        self.hear(now, report);
        if is_terminal { self.whole(report) } else { self.lines(report) }
    }

    fn hear(&mut self, now: Instant, report: &Report) {
        self.seen.retain(|name, _| report.connectors.iter().any(|row| row.name == *name));
        report.connectors.iter().for_each(|row| self.take(now, row));
    }

    /// The report with the rates that are known by now, to a tenth.
    fn rated(&self, report: &Report) -> Report {
        let tenth = |rate: f64| (rate * 10.0).round() / 10.0;
        let mut report = report.clone();
        for row in &mut report.connectors {
            let Some(seen) = self.seen.get(&row.name).filter(|seen| seen.rated) else { continue };
            row.rate = Some(tenth(seen.rate()));
            row.partitions.iter_mut().for_each(|one| one.rate = seen.rate_of(one).map(tenth));
        }
        report
    }

    fn take(&mut self, now: Instant, row: &Row) {
        let before = self.seen.remove(&row.name);
        let passed =
            before.as_ref().map(|before| now.duration_since(before.at).as_secs_f64()).filter(|time| *time > 0.0);
        let places = row.partitions.iter().map(|one| {
            let spot = (one.topic.clone(), one.partition);
            let known = before.as_ref().and_then(|before| before.places.get(&spot));
            let rate = known.zip(passed).map(|((committed, rate), passed)| {
                // Offsets that somebody set back are no records read.
                let now = f64::from(i32::try_from(0.max(one.committed - committed)).unwrap_or(i32::MAX)) / passed;
                rate.map_or(now, |rate| WEIGHT * now + (1.0 - WEIGHT) * rate)
            });
            (spot, (one.committed, rate))
        });
        let places = places.collect();
        let peak = before.as_ref().map_or(0, |before| before.peak);
        let peak = match row.lag {
            Some(0) => 0,
            Some(lag) => lag.max(peak),
            None => peak,
        };
        self.seen.insert(row.name.clone(), Seen { at: now, places, rated: passed.is_some(), peak });
    }

    /// Everything, for a terminal.
    fn whole(&self, report: &Report) -> String {
        let mut text = status::table(report);
        for row in &report.connectors {
            let Some(seen) = self.seen.get(&row.name).filter(|seen| seen.rated) else { continue };
            let _ = writeln!(text, "\n{}: {:.0} records a second", plain(&row.name), seen.rate());
            if let Some(bar) = bar(row, seen) {
                let _ = writeln!(text, "  {bar}");
            }
            let waiting: Vec<_> = row.partitions.iter().filter(|one| one.lag != Some(0)).collect();
            for one in waiting.iter().take(SHOWN) {
                let rate = seen.rate_of(one).unwrap_or(0.0);
                let lag = one.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
                let _ = writeln!(text, "  {}-{:<3} {lag:>9} wait {rate:>8.0}/s", plain(&one.topic), one.partition);
            }
            if SHOWN < waiting.len() {
                let _ = writeln!(text, "  and {} more partitions", waiting.len() - SHOWN);
            }
        }
        text
    }

    /// A line a connector, for a log.
    fn lines(&self, report: &Report) -> String {
        let time = clock(OffsetDateTime::now_utc());
        let mut text = String::new();
        for row in &report.connectors {
            let lag = row.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
            let (name, state, tasks) = (plain(&row.name), plain(&row.state), row.tasks.len());
            let _ = write!(text, "{time} {name} {state} {}/{tasks} lag {lag}", row.running);
            if let Some(seen) = self.seen.get(&row.name).filter(|seen| seen.rated) {
                let _ = write!(text, " rate {:.0}/s", seen.rate());
                if let Some(left) = left(row, seen) {
                    let _ = write!(text, " left {}", span(left));
                }
            }
            for trouble in status::troubles(row) {
                let _ = write!(text, " {trouble}");
            }
            text.push('\n');
        }
        if let Some(waiting) = status::waiting(&report.dead_letters) {
            let _ = writeln!(text, "{time} {waiting}");
        }
        for reason in &report.unreachable {
            let _ = writeln!(text, "cannot ask {}", plain(reason));
        }
        text
    }
}

/// How much of a backlog is done, and how long the rest takes.
fn bar(row: &Row, seen: &Seen) -> Option<String> {
    let lag = row.lag.filter(|lag| 0 < *lag && BACKLOG <= seen.peak)?;
    let done = usize::try_from((seen.peak - lag).saturating_mul(100) / seen.peak).ok()?.min(100);
    let full = WIDTH * done / 100;
    let left = match left(row, seen) {
        Some(left) => format!("{} left", span(left)),
        None => "it does not move".to_owned(),
    };
    Some(format!("[{}{}] {done} % of {}, {lag} wait, {left}", "#".repeat(full), ".".repeat(WIDTH - full), seen.peak))
}

/// Nothing while nothing is read, or nothing waits.
fn left(row: &Row, seen: &Seen) -> Option<Duration> {
    let lag = row.lag.filter(|lag| 0 < *lag && 0.5 <= seen.rate())?;
    let seconds = f64::from(i32::try_from(lag).unwrap_or(i32::MAX)) / seen.rate();
    // What is read comes in meanwhile as well: it is a guess, and a long one is no use.
    Duration::try_from_secs_f64(seconds).ok().filter(|left| *left < Duration::from_secs(1_000_000))
}

fn clock(time: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}Z", time.hour(), time.minute(), time.second())
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5_999 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests;
