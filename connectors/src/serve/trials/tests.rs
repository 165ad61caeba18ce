use super::*;
use crate::config::Postgres as PostgresSettings;
use crate::connect::{Connect, ConnectError, Info};
use crate::elastic::Elastic;
use crate::postgres::Postgres;
use crate::serve::healer::{Healer, Seen, State, Target};
use crate::serve::isolate::Change;
use crate::serve::isolate::trial::Untriable;
use crate::serve::probes::Probes;

const NOWHERE: &str = "http://127.0.0.1:1";

/// Trials whose servers are all away, with so many dead letters allowed.
fn trials(limit: usize) -> Trials {
    let postgres = PostgresSettings {
        host: "127.0.0.1".to_owned(),
        port: 1,
        db: String::new(),
        user: String::new(),
        password: String::new().into(),
    };
    let probes = Probes {
        postgres: Postgres::new(&postgres),
        elastic: Elastic::new(NOWHERE).unwrap(),
        registry: schemas::registry::Registry::new(NOWHERE).unwrap(),
    };
    let (connect, kafka) = (Connect::new(NOWHERE).unwrap(), "127.0.0.1:1".into());
    let isolator = Isolator { connect, probes, kafka, healer: "here".to_owned() };
    Trials::new(isolator, limit, Board::default(), Arc::new(Metrics::default()), Tasks::new())
}

/// The episode of a sink that has failed and was restarted so often.
fn episode(restarts: u32, target: Target) -> Episode {
    let (mut healer, start) = (Healer::default(), Instant::now());
    for step in 0..restarts {
        let later = start + Duration::from_secs(u64::from(step) * 60);
        assert!(healer.step(later, Seen { state: State::Failed, target }).is_some());
    }
    *healer.episode().unwrap()
}

fn begins(trials: &mut Trials, settings: &Settings) -> bool {
    trials.begin("s", settings, Some(&episode(AFTER, Target::Well)))
}

fn found(poison: usize, cut: Option<&str>) -> Found {
    Found { tried: 5, poison, cut: cut.map(str::to_owned), partial: false }
}

/// What a trial of `s` ended with; none runs any more.
fn ended(trials: &mut Trials, result: Result<Found, IsolateError>) {
    trials.running.clear();
    trials.over("s", Ok(Some(result)), &BTreeMap::new());
}

fn why(trials: &Trials) -> Option<&str> {
    trials.past.get("s")?.ended.as_ref().map(|end| end.why.as_str())
}

#[tokio::test]
async fn records_are_tried_after_two_restarts_of_a_well_target_and_once_at_a_time() {
    let mut trials = trials(9);
    let none = Settings::new();
    assert!(!trials.begin("s", &none, None));
    assert!(!trials.begin("s", &none, Some(&episode(AFTER - 1, Target::Well))), "one restart may yet help");
    assert!(!trials.begin("s", &none, Some(&episode(AFTER, Target::Troubled))), "no record's fault");
    assert!(begins(&mut trials, &none));
    assert!(!begins(&mut trials, &none), "it runs already");
}

#[tokio::test]
async fn too_many_dead_letters_end_it_until_the_settings_are_others() {
    let mut trials = trials(2);
    ended(&mut trials, Ok(found(1, None)));
    assert_eq!(why(&trials), None, "one of two is allowed");
    assert!(begins(&mut trials, &Settings::new()));
    ended(&mut trials, Ok(found(1, None)));
    assert!(why(&trials).unwrap().starts_with("2 dead letters within a minute, 2 are allowed"));
    assert!(!begins(&mut trials, &Settings::new()));
    let other = Settings::from([("topics".to_owned(), "t".to_owned())]);
    assert!(begins(&mut trials, &other), "somebody changed them");
}

#[tokio::test]
async fn dead_letters_of_more_than_a_minute_ago_do_not_count() {
    let mut trials = trials(2);
    ended(&mut trials, Ok(found(1, None)));
    for at in &mut trials.past.get_mut("s").unwrap().letters {
        *at -= WINDOW;
    }
    assert!(begins(&mut trials, &Settings::new()));
    ended(&mut trials, Ok(found(1, None)));
    assert_eq!(why(&trials), None);
}

#[tokio::test]
async fn three_trials_in_a_row_that_find_nothing_end_it_and_a_cut_one_is_none_of_them() {
    let mut trials = trials(9);
    for one in [found(0, None), found(0, None), found(0, Some("away")), found(0, None), found(0, None)] {
        ended(&mut trials, Ok(one));
        assert_eq!(why(&trials), None);
    }
    ended(&mut trials, Ok(found(0, None)));
    assert!(why(&trials).unwrap().starts_with("3 trials in a row found no record"));
}

#[tokio::test]
async fn a_trial_that_had_no_room_for_all_says_nothing_of_the_records() {
    let mut trials = trials(9);
    let partial = || Ok(Found { partial: true, ..found(0, None) });
    let whole = [Ok(found(0, None)), Ok(found(0, None))];
    for one in whole.into_iter().chain((1..PARTIAL).map(|_| partial())) {
        ended(&mut trials, one);
        assert_eq!(why(&trials), None);
    }
    assert!(begins(&mut trials, &Settings::new()), "what is left is tried next");
    ended(&mut trials, partial());
    assert!(why(&trials).is_some(), "all that a poll brings was tried");
}

#[tokio::test]
async fn a_sink_that_got_over_it_is_tried_again_but_not_one_with_too_many_dead_letters() {
    for (found, tried) in [([0, 0, 0], true), ([1, 1, 1], false)] {
        let mut trials = trials(3);
        for poison in found {
            assert!(begins(&mut trials, &Settings::new()));
            ended(&mut trials, Ok(self::found(poison, None)));
        }
        assert!(why(&trials).is_some());
        assert!(!begins(&mut trials, &Settings::new()), "it fails on");
        let failing = &mut trials.past.get_mut("s").unwrap().failing;
        *failing = failing.map(|at| at - FORGET);
        assert_eq!(begins(&mut trials, &Settings::new()), tried, "it had not failed for a while");
        assert_eq!(trials.past["s"].fruitless, 0);
    }
}

#[tokio::test]
async fn a_trial_that_could_not_be_made_or_met_trouble_is_not_made_again_at_once() {
    let late = || IsolateError::Late { what: "it".to_owned(), limit: Duration::ZERO };
    for result in [Ok(found(0, Some("away"))), Err(late())] {
        let mut trials = trials(9);
        ended(&mut trials, result);
        assert_eq!(why(&trials), None);
        assert!(!begins(&mut trials, &Settings::new()));
        trials.past.get_mut("s").unwrap().not_before = Some(Instant::now());
        assert!(begins(&mut trials, &Settings::new()), "the pause is over");
    }
}

#[tokio::test]
async fn a_sink_that_somebody_changed_during_its_trial_is_tried_again_at_once() {
    let mut trials = trials(9);
    ended(&mut trials, Err(IsolateError::GivenUp { sink: "s".to_owned(), change: Change::Edited }));
    assert!(begins(&mut trials, &Settings::new()));
}

#[tokio::test]
async fn a_sink_that_was_never_stopped_is_free_until_its_trial_is_gone_or_another_begins() {
    let mut trials = trials(9);
    let source = ConnectError::Busy { url: "u".to_owned(), status: 409, message: "rebalance".to_owned() };
    ended(&mut trials, Err(IsolateError::Left { sink: "s".to_owned(), source }));
    assert!(trials.free.contains("s"));
    trials.past.get_mut("s").unwrap().not_before = None;
    assert!(begins(&mut trials, &Settings::new()));
    assert!(trials.free.is_empty(), "this one stops it");
    ended(&mut trials, Err(IsolateError::GivenUp { sink: "s".to_owned(), change: Change::Edited }));
    assert!(trials.free.is_empty(), "that trial is gone");
}

#[tokio::test]
async fn a_sink_that_cannot_be_tried_is_not_tried_again() {
    for hopeless in [IsolateError::NoLetters("s".to_owned()), Untriable::Class("x.Y".to_owned()).into()] {
        let mut trials = trials(9);
        ended(&mut trials, Err(hopeless));
        assert!(why(&trials).is_some());
    }
}

#[tokio::test]
async fn a_trial_is_left_behind_where_it_is_ours_or_its_healer_has_had_its_time() {
    let mut trials = trials(9);
    let (here, both) = (BTreeSet::from(["here".to_owned()]), BTreeSet::from(["here".to_owned(), "there".to_owned()]));
    assert!(trials.is_left("s", "here"), "ours, and it does not run");
    for present in [None, Some(&both), Some(&here)] {
        trials.roll.names = present.cloned();
        assert!(!trials.is_left("s", "there"));
    }
    trials.foreign.get_mut("s").unwrap().present -= ABSENT;
    assert!(trials.is_left("s", "there"), "it is not in the group any more");
    trials.roll.names = None;
    assert!(!trials.is_left("s", "there"), "Kafka does not say so");
    trials.foreign.get_mut("s").unwrap().present -= ABSENT;
    trials.roll.names = Some(both);
    assert!(!trials.is_left("s", "there"), "it is back");
    trials.foreign.get_mut("s").unwrap().since -= LEASE;
    assert!(trials.is_left("s", "there"), "no trial takes so long");

    let of = |healer: &str| {
        let config = [(trial::HEALS, "s"), (trial::HEALER, healer)];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        BTreeMap::from([("s-trial".to_owned(), Listed { info: Info { config }, ..Listed::default() })])
    };
    let tried = BTreeSet::from(["s".to_owned()]);
    assert_eq!(trials.look(&of("a third")).await, tried, "its time begins anew, and the sink is left to it");
    assert_eq!(trials.look(&BTreeMap::new()).await, BTreeSet::new());
}

/// What Kafka answers who asks for the healers: these, or nothing.
fn told(names: Option<&[&str]>) -> Result<(Arc<Reader>, BTreeSet<String>), KafkaError> {
    let reader = Arc::new(Reader::new(&"127.0.0.1:1".into(), duty::GROUP)?);
    let names = names.ok_or(KafkaError::Cut)?;
    Ok((reader, names.iter().map(|name| (*name).to_owned()).collect()))
}

#[test]
fn who_is_absent_is_known_only_from_a_roll_that_this_healer_is_in() {
    let now = Instant::now();
    for (names, known) in [(&["here", "there"][..], true), (&["here"], true), (&["there"], false), (&[], false)] {
        let roll = Roll::of(told(Some(names)), "here", now);
        assert_eq!((roll.names.is_some(), roll.asked), (known, Some(now)), "{names:?}");
        assert!(roll.reader.is_some(), "the next call asks by the same client");
    }
    let silent = Roll::of(told(None), "here", now);
    assert!(silent.names.is_none() && silent.reader.is_none(), "the next call begins with another client");
    assert_eq!(silent.asked, Some(now));
}

#[tokio::test]
async fn a_healer_that_is_gone_from_the_roll_loses_its_trial_and_one_that_nobody_knows_of_keeps_it() {
    let after = |names: Option<&[&str]>| {
        let mut trials = trials(9);
        assert!(!trials.is_left("s", "there"), "its time begins");
        trials.foreign.get_mut("s").unwrap().present -= ABSENT;
        trials.roll = Roll::of(told(names), "here", Instant::now());
        trials.is_left("s", "there")
    };
    assert!(after(Some(&["here"])));
    let kept: [Option<&[&str]>; 3] = [Some(&["here", "there"]), Some(&["a third"]), None];
    for names in kept {
        assert!(!after(names), "{names:?}");
    }
}

/// Kafka is away here: whoever is asked again forgets what it knew.
#[tokio::test]
async fn the_roll_is_called_at_most_every_two_seconds() {
    let mut trials = trials(9);
    let known = Some(BTreeSet::from(["here".to_owned()]));
    trials.roll = Roll { names: known.clone(), asked: Some(Instant::now()), reader: None };
    trials.call_the_roll().await;
    assert_eq!(trials.roll.names, known, "it was called just now");
    let before = Instant::now().checked_sub(ROLL_EVERY).unwrap();
    trials.roll.asked = Some(before);
    trials.call_the_roll().await;
    assert_eq!(trials.roll.names, None);
    assert!(trials.roll.asked.is_some_and(|asked| before + ROLL_EVERY <= asked), "when it was called is kept");
}
