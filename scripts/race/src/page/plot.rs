//! Pictures as SVG, coloured by themselves, so that they also stand alone: curves on doubly logarithmic scales, where a
//! power is a straight line, and pairs of bars.

use std::fmt::Write as _;

use super::{escape, number};
use crate::{
    curve::{Curve, Line},
    spread::Spread,
};

/// Of one plot, in its own units.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 44.0;
/// Of a sheet of plots.
const COLUMNS: usize = 2;
/// Ours first; readable on white and on black.
const COLOURS: [&str; 4] = ["#30a46c", "#8a929c", "#3e93de", "#f5a623"];
const FONT: &str = "font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#8a929c\"";

/// A logarithmic scale.
#[derive(Clone, Copy)]
struct Scale {
    from: f64,
    until: f64,
}

impl Scale {
    /// Around all values, and so wide that one end is at least `least` times the other: what hardly grows shall look so.
    fn around(values: impl Iterator<Item = f64>, least: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for log in values.map(f64::ln).filter(|log| log.is_finite()) {
            (low, high) = (low.min(log), high.max(log));
        }
        if high < low {
            (low, high) = (0.0, 1.0);
        }
        let room = (least.ln() - (high - low)).max(0.0) / 2.0 + 0.05 * (high - low);
        Self { from: low - room, until: high + room }
    }

    /// From 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = (value.ln() - self.from) / (self.until - self.from);
        // What has no logarithm lies at the edge.
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// 1, 2 and 5 of each power of ten that lies on it.
    fn ticks(&self) -> Vec<f64> {
        let powers = -9..=15;
        let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        all.filter(|tick| (self.from..=self.until).contains(&tick.ln())).collect()
    }
}

/// One plot.
pub(super) fn svg(curve: &Curve) -> String {
    format!(
        "\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">{}</svg>",
        drawn(curve)
    )
}

/// All plots in one picture.
pub(super) fn sheet(curves: &[&Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut out = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">");
    for (at, curve) in curves.iter().enumerate() {
        let (x, y) = ((at % COLUMNS) as f64 * WIDTH, (at / COLUMNS) as f64 * HEIGHT);
        let _ = write!(out, "\n<g transform=\"translate({x} {y})\">{}</g>", drawn(curve));
    }
    out + "\n</svg>\n"
}

fn drawn(curve: &Curve) -> String {
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let across = Scale::around(points().map(|point| point.at), 1.5);
    let up = Scale::around(points().flat_map(|point| [point.figure.min, point.figure.max]), 20.0);
    let x = |value: f64| LEFT + across.share(value) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - up.share(value) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<text x=\"{LEFT}\" y=\"16\" font-family=\"system-ui, sans-serif\" font-size=\"12\" font-weight=\"600\" fill=\"#8a929c\">{}, {}</text>",
        escape(&curve.what),
        escape(&curve.unit)
    );
    for tick in up.ticks() {
        let at = y(tick);
        let _ = write!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#8883\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" {FONT}>{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            short(tick)
        );
    }
    for point in curve.lines.first().iter().flat_map(|line| &line.points) {
        let (at, base) = (x(point.at), HEIGHT - BOTTOM + 16.0);
        let _ =
            write!(out, "<text x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\" {FONT}>{}</text>", short(point.at));
    }
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" {FONT}>{}</text>",
        LEFT.midpoint(WIDTH - RIGHT),
        HEIGHT - 8.0,
        escape(&curve.against)
    );
    for (at, (line, colour)) in curve.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        draw(&mut out, line, colour, (&x, &y));
        let slope = line.slope().map(|slope| format!(": {slope}")).unwrap_or_default();
        let base = 32.0 + 14.0 * at as f64;
        let _ = write!(
            out,
            "<text x=\"{LEFT}\" y=\"{base}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"{colour}\">{}{}</text>",
            escape(&line.name),
            escape(&slope)
        );
    }
    out
}

/// The medians with their ranges.
fn draw(out: &mut String, line: &Line, colour: &str, (x, y): (&impl Fn(f64) -> f64, &impl Fn(f64) -> f64)) {
    let path: Vec<String> =
        line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.at), y(point.figure.median))).collect();
    let _ =
        write!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>", path.join(" "));
    for point in &line.points {
        let Spread { median, min, max, .. } = point.figure;
        let at = x(point.at);
        let _ = write!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/><circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"2.6\" fill=\"{colour}\"/>",
            y(max),
            y(min),
            y(median)
        );
    }
}

/// Two figures of one unit, from 0 on.
pub(super) fn bars(ours: &Spread, theirs: &Spread) -> String {
    let most = ours.max.max(theirs.max);
    if !(0.0 < most && 0.0 <= ours.min && 0.0 <= theirs.min) {
        return String::new();
    }
    let mut out = "<svg class=bar viewBox=\"0 0 200 22\" preserveAspectRatio=none role=img>".to_owned();
    for (spread, top, colour) in [(ours, 2.0, "var(--ours)"), (theirs, 12.0, "var(--theirs)")] {
        let at = |value: f64| value / most * 200.0;
        let _ = write!(
            out,
            "<rect x=0 y={top} height=8 width={:.1} fill=\"{colour}\"/><line x1={:.1} x2={:.1} y1={mid} y2={mid} stroke=\"var(--ink)\"/>",
            at(spread.median),
            at(spread.min),
            at(spread.max),
            mid = top + 4.0
        );
    }
    out + "</svg>"
}

/// Thousands and millions by their letters: there is little room.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", number_of(value / 1e6)),
        1e3.. => format!("{}k", number_of(value / 1e3)),
        _ => number_of(value),
    }
}

/// Without zeros behind the point.
fn number_of(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
