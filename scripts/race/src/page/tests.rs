use super::*;
use crate::{
    curve::Point,
    machine::Machine,
    report::{Found, Report, Row as Told},
    spread::Goal,
};

fn exactly(figure: f64) -> Spread {
    Spread::of(&[figure]).unwrap()
}

fn folder(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("race-page-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn found() -> Found {
    let beside = Spread::of(&[90.0, 100.0, 120.0]).unwrap();
    let row = Told::new("orders <per> CPU", exactly(60.0), "orders/CPU-s").beside("bare & hyper", beside);
    let points = [(100.0, 10.0), (1_000.0, 20.0), (10_000.0, 200.0)];
    let points = points.map(|(at, figure)| Point { at, figure: exactly(figure) }).to_vec();
    let curve = Curve::new("An order's size", "µs", "bytes").line("edge", points);
    let rows = vec![row, Told::new("p99", exactly(3.0), "ms").goal(Goal::AtMost(1.0))];
    Found { rows, notes: vec!["read <this>".to_owned()], curves: vec![curve], ..Found::default() }
}

#[test]
fn the_page_has_what_each_bench_found_last() {
    let dir = folder("whole");
    for bench in ["edge", "edge-quick", "sinks"] {
        let report = Report::new("a bench", Machine::now(), vec![("linger", "1 ms".to_owned())], found());
        report.save(&dir.join(format!("{bench}.json"))).unwrap();
    }
    write(&dir).unwrap();
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    for part in [
        "<h2 id=edge>edge</h2>",
        "<h2 id=edge-quick>edge-quick</h2>",
        "<h2 id=sinks>sinks</h2>",
        "<td class=text>linger<td class=text>1 ms",
        "orders &lt;per&gt; CPU<td>60.0<td class=text>orders/CPU-s",
        "bare &amp; hyper: 100.0 (90.0 to 120.0)",
        "&lt;= 1.00<td class=\"text missed\">missed",
        "edge: size^0.65, at the end size^1.00",
        "read &lt;this&gt;",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert_eq!(page.matches("<svg class=bar").count(), 3, "only what stands beside something has bars");
    assert_eq!(page.matches("<circle").count(), 9, "three points of each report");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_sheet_has_all_curves_and_stands_alone() {
    let dir = folder("sheet");
    let refusal = write_plots(&dir, &dir.join("growth.svg")).unwrap_err().to_string();
    assert!(refusal.contains("--only growth"), "{refusal}");
    Report::new("edge", Machine::now(), Vec::new(), found()).save(&dir.join("edge.json")).unwrap();
    write_plots(&dir, &dir.join("growth.svg")).unwrap();
    let sheet = fs::read_to_string(dir.join("growth.svg")).unwrap();
    assert!(sheet.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && !sheet.contains("class="), "{sheet}");
    assert_eq!((sheet.matches("<circle").count(), sheet.matches("<polyline").count()), (3, 1));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_report_of_an_older_bench_without_its_runs_is_shown() {
    let dir = folder("older");
    let figure = r#"{"median":2.0,"min":1.0,"max":3.0}"#;
    let row = format!(r#"{{"what":"p99","figure":{figure},"unit":"ms"}}"#);
    fs::write(dir.join("edge.json"), format!(r#"{{"machine":{{}},"setting":[],"rows":[{row}],"notes":[]}}"#)).unwrap();
    write(&dir).unwrap();
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("p99<td>2.00 (1.00 to 3.00)<td class=text>ms"), "{page}");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_that_is_no_report_is_named() {
    let dir = folder("other");
    write(&dir).unwrap();
    assert!(!dir.join("report.html").exists(), "no report, no page");
    fs::write(dir.join("mine.json"), "{}").unwrap();
    let refusal = format!("{:#}", write(&dir).unwrap_err());
    assert!(refusal.contains("mine.json is no report of a bench"), "{refusal}");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn nothing_is_drawn_outside_of_its_picture() {
    let wild = [(0.0, 1.0), (1.0, 0.0), (f64::INFINITY, 3.0), (2.0, -5.0)];
    let points = wild.map(|(at, figure)| Point { at, figure: exactly(figure) }).to_vec();
    let picture = plot::svg(&Curve::new("x", "y", "z").line("edge", points));
    assert!(!picture.contains("=\"inf") && !picture.contains("NaN"), "{picture}");
    assert!(plot::svg(&Curve::new("x", "y", "z")).contains("</svg>"));
    assert_eq!(plot::bars(&exactly(0.0), &exactly(0.0)), "");
}
