use super::*;

/// Settings of all sorts, which the mechanism has never heard of.
#[derive(Debug, clap::Parser)]
#[command(name = "thing")]
struct Things {
    #[command(flatten)]
    source: Args,
    /// A number
    #[arg(long, default_value_t = 7)]
    size: u16,
    /// Some names
    #[arg(long, value_delimiter = ',')]
    names: Vec<String>,
    /// A switch
    #[arg(long)]
    loud: bool,
    /// A word of two
    #[arg(long, value_parser = ["one", "two"], default_value = "one")]
    word: String,
    /// Needs the next
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// Is needed
    #[arg(long)]
    key: Option<PathBuf>,
    /// Is not shown
    #[arg(long)]
    ca_password: Option<u16>,
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("edge-settings-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read(file: &str, flags: &[&str]) -> (Option<Things>, Given, Vec<String>) {
    let file = TempFile::new(file);
    let words = ["thing", "--config", file.0.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    let mut faults = Vec::new();
    let (things, given) = Given::read(&words.map(OsString::from).collect::<Vec<_>>(), &mut faults).unwrap();
    let name = file.0.display().to_string();
    (things, given, faults.into_iter().map(|fault| fault.replace(&name, "FILE")).collect())
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = "size = 8\nnames = ['a', 'b']\nloud = true\ncert = 'c.pem'\n";
    let (things, given, faults) = read(file, &["--size=9", "--key=k.pem", "--check"]);
    assert_eq!(faults, Vec::<String>::new());
    let Things { source, size, names, loud, word, cert, key, .. } = things.unwrap();
    assert_eq!((size, names, loud, word.as_str()), (9, vec!["a".to_owned(), "b".to_owned()], true, "one"));
    assert!(source.check && !source.print_config);
    assert_eq!((cert, key), (Some("c.pem".into()), Some("k.pem".into())), "what one needs may be given elsewhere");
    let origins: Vec<_> = given.0.iter().map(|setting| (setting.name.as_str(), setting.origin.clone())).collect();
    assert_eq!(origins[0], ("size", Origin::Flag));
    assert!(matches!(&origins[1], ("names", Origin::File(place)) if place.ends_with(":2:1")), "{origins:?}");
    assert_eq!(origins[3], ("word", Origin::Default));
}

#[test]
fn all_faults_of_flags_and_file_are_told_at_once_with_their_place() {
    let file = "word = 'three'\nloud = 3\nsize = [1, 2]\nsizes = 1\nca-password = 'hidden'\n";
    let (things, _, faults) = read(file, &["--size=large"]);
    assert_eq!(
        faults,
        [
            r#"FILE:4:1: there is no setting "sizes"; did you mean "size"?"#,
            r#"--size: "large" cannot be used: invalid digit found in string"#,
            "--loud (FILE:2:1): true or false is needed",
            r#"--word (FILE:1:1): "three" cannot be used; possible are one, two"#,
            "--ca-password (FILE:5:1): the value cannot be used",
        ]
    );
    assert!(things.is_some(), "what else is wrong can still be found");
    let (_, _, faults) = read("size = [1, 2]\n", &[]);
    assert_eq!(faults, ["--size (FILE:1:1): takes one value, not a list"]);
    let (things, _, faults) = read("cert = 'c.pem'\n", &[]);
    assert!(things.is_none() && faults.len() == 1 && faults[0].contains("--key"), "{faults:?}");
}

#[test]
fn a_fault_is_told_with_where_its_value_comes_from() {
    let (_, given, _) = read("\nsize = 8\n", &["--word=two"]);
    let located = given.located("--size: from 9 to 10 is possible");
    assert!(located.starts_with("--size (") && located.ends_with(":2:1): from 9 to 10 is possible"), "{located}");
    for same in ["--word: is no word", "--siz: is not ours", "no flag: at all", "--size is strange"] {
        assert_eq!(given.located(same), same);
    }
}

#[test]
fn what_is_printed_can_be_used_again_and_tells_no_secret() {
    let file = "names = ['a \"b\" \\\\', '7', 'c']\nca-password = 4711\nloud = true\n";
    let (_, given, _) = read(file, &["--size=9"]);
    let printed = given.to_string();
    assert!(!printed.contains("4711"), "{printed}");
    for line in
        ["size = 9 # flag", "word = \"one\" # default", "# key is not set", "# ca-password is set but not shown"]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let (things, again, faults) = read(&printed, &[]);
    assert_eq!(faults, Vec::<String>::new(), "{printed}");
    let things = things.unwrap();
    assert_eq!((things.size, things.loud, things.ca_password), (9, true, None));
    assert_eq!(things.names, [r#"a "b" \\"#, "7", "c"]);
    assert_eq!(given.changed(&again), ["ca-password"]);
}

#[test]
fn help_and_words_that_are_no_flags_are_clap_s() {
    let read = |words: &[&str]| {
        Given::read::<Things>(&words.iter().map(OsString::from).collect::<Vec<_>>(), &mut Vec::new()).err()
    };
    assert_eq!(read(&["thing", "--help"]).map(|error| error.kind()), Some(ErrorKind::DisplayHelp));
    assert_eq!(read(&["thing", "--sise=3"]).map(|error| error.kind()), Some(ErrorKind::UnknownArgument));
}
