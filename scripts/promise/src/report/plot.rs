//! Lines over time as SVG: panels one above the other on one clock, with the faults shaded behind them.

use std::fmt::Write;

/// Of the whole picture, in its own units; the page scales it.
const WIDTH: f64 = 960.0;
const PANEL: f64 = 84.0;
const GAP: f64 = 26.0;
const LEFT: f64 = 64.0;
/// A line that nobody saw for so long is broken: what was not seen is not drawn.
const BREAK_MS: i64 = 4_000;

/// A line: its class, which the page colours, its name, and its points by time.
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) points: Vec<(i64, f64)>,
}

/// Lines with one scale.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
}

/// A time that is shaded: its class, from, until.
pub(super) type Shade = (&'static str, i64, i64);

/// From `from` to `until`, in milliseconds.
pub(super) fn svg(panels: &[Panel], shades: &[Shade], from: i64, until: i64) -> String {
    let height = panels.len() as f64 * (PANEL + GAP) + GAP;
    let x = |at: i64| LEFT + (at - from) as f64 / (until - from).max(1) as f64 * (WIDTH - LEFT);
    let mut out = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img">"#);
    for (class, begin, end) in shades.iter().filter(|(_, begin, end)| from < *end && *begin < until) {
        let (left, right) = (x((*begin).max(from)), x((*end).min(until)));
        let width = (right - left).max(1.0);
        let _ = write!(out, r#"<rect class="{class}" x="{left:.1}" y="0" width="{width:.1}" height="{height}"/>"#);
    }
    for (at, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, GAP + at as f64 * (PANEL + GAP), &x, (from, until));
    }
    axis(&mut out, from, until, &x, height);
    out + "</svg>"
}

fn draw(out: &mut String, panel: &Panel, top: f64, x: &impl Fn(i64) -> f64, (from, until): (i64, i64)) {
    let seen = |line: &Line| line.points.iter().filter(|(at, _)| (from..=until).contains(at)).copied().collect();
    let lines: Vec<(&Line, Vec<(i64, f64)>)> = panel.lines.iter().map(|line| (line, seen(line))).collect();
    let most = lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value).fold(1.0, f64::max);
    let bottom = top + PANEL;
    let _ = write!(
        out,
        r#"<text x="0" y="{:.0}" class="title">{}</text><text x="{:.0}" y="{:.0}" class="scale">{most:.0}</text><line class="floor" x1="{LEFT}" y1="{bottom}" x2="{WIDTH}" y2="{bottom}"/>"#,
        top - 8.0,
        panel.title,
        LEFT - 6.0,
        top + 8.0,
    );
    let mut names = LEFT + 190.0;
    for (line, points) in &lines {
        let y = |value: f64| bottom - value / most * PANEL;
        let (mut path, mut last) = (String::new(), None);
        for (at, value) in points {
            let pen = if last.is_some_and(|last| at - last <= BREAK_MS) { 'L' } else { 'M' };
            let _ = write!(path, "{pen}{:.1} {:.1}", x(*at), y(*value));
            last = Some(*at);
        }
        let (class, name) = (line.class, &line.name);
        let _ = write!(
            out,
            r#"<path class="{class}" d="{path}"/><text x="{names:.0}" y="{:.0}" class="name {class}">{name}</text>"#,
            top - 8.0,
        );
        names += 16.0 + 6.6 * name.len() as f64;
    }
}

/// Seconds since the beginning, at round numbers of them.
fn axis(out: &mut String, from: i64, until: i64, x: &impl Fn(i64) -> f64, height: f64) {
    let seconds = (until - from) / 1_000;
    let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600].into_iter().find(|step| seconds / step <= 12);
    for second in (0..=seconds).step_by(step.unwrap_or(7_200) as usize) {
        let at = x(from + second * 1_000);
        let _ = write!(out, r#"<text x="{at:.1}" y="{:.0}" class="tick">{second} s</text>"#, height - 6.0);
    }
}
