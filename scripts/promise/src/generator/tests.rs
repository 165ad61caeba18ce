//! The stream is the same for the same seed, and its shares are what the mix says.

use std::collections::HashSet;

use super::*;

fn take(seed: u64, count: usize) -> Vec<Post> {
    Generator::new("t", seed, Mix::default()).take(count).collect()
}

#[test]
fn one_seed_gives_one_stream() {
    assert_eq!(take(1, 500), take(1, 500));
    assert_ne!(take(1, 500), take(2, 500));
}

#[test]
fn the_shares_are_those_of_the_mix() {
    let posts = take(3, 10_000);
    let share = |test: &dyn Fn(&Post) -> bool| posts.iter().filter(|post| test(post)).count();
    assert!((400..=600).contains(&share(&|post| post.repost)));
    assert!((400..=600).contains(&share(&|post| matches!(post.class, Class::Refused { .. }) && !post.repost)));
    assert!((400..=600).contains(&share(&|post| matches!(post.class, Class::Rejected(_)) && !post.repost)));
}

#[test]
fn only_a_repost_has_an_earlier_id_and_half_of_them_come_right_after() {
    let posts = take(4, 10_000);
    let mut seen = HashSet::new();
    for post in &posts {
        assert_eq!(!seen.insert(post.id.clone()), post.repost, "{}", post.id);
    }
    let reposts = posts.iter().filter(|post| post.repost).count();
    let pairs = posts
        .windows(2)
        .filter(|pair| matches!(pair, [first, second] if second.repost && first.id == second.id))
        .count();
    assert!(pairs * 10 >= reposts * 4, "{pairs} of {reposts}");
}

#[test]
fn every_rule_of_the_edge_is_broken_by_some_post() {
    let rules: HashSet<&str> = take(5, 40_000)
        .iter()
        .filter_map(|post| match post.class {
            Class::Refused { rule, .. } => Some(rule),
            Class::Valid | Class::Rejected(_) => None,
        })
        .collect();
    assert!(rules.len() > 65, "{}: {rules:?}", rules.len());
}

#[test]
fn what_the_edge_must_take_is_json() {
    for post in take(6, 5_000) {
        if !matches!(post.class, Class::Refused { .. }) {
            let parsed = serde_json::from_slice::<serde_json::Value>(&post.body);
            assert!(parsed.is_ok(), "{parsed:?}: {}", String::from_utf8_lossy(&post.body));
        }
    }
}
