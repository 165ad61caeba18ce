//! The columns that a file of SQL gives a table: of its `create table` and its `alter table … add column`. A reader for
//! the files of `stores/`, not of all SQL; what it does not understand it leaves out.

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// In small letters, without spaces inside of parentheses' ends: `numeric(15,2)`.
    pub(crate) kind: String,
    /// Not null, or part of the primary key.
    pub(crate) required: bool,
    pub(crate) has_default: bool,
}

/// Words that end a column's type.
const ENDS: [&str; 11] = [
    "not",
    "null",
    "default",
    "primary",
    "unique",
    "references",
    "check",
    "generated",
    "collate",
    "constraint",
    "storage",
];
/// What begins an entry of a table that is no column.
const NO_COLUMN: [&str; 7] = ["constraint", "primary", "unique", "foreign", "check", "exclude", "like"];

/// The columns of `table`; `None` when the text does not make it.
pub(crate) fn columns(sql: &str, table: &str) -> Option<Vec<Column>> {
    let mut columns = None;
    for statement in statements(sql) {
        let words = words(&statement);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["create", "table", rest @ ..] | ["create", "unlogged", "table", rest @ ..] => {
                let rest = rest.strip_prefix(&["if", "not", "exists"]).unwrap_or(rest);
                if let [name, "(", rest @ ..] = rest
                    && is_table(name, table)
                {
                    columns = Some(entries(inside(rest)).into_iter().filter_map(column).collect());
                }
            }
            ["alter", "table", rest @ ..] => {
                let rest = rest.strip_prefix(&["if", "exists"]).unwrap_or(rest);
                let rest = rest.strip_prefix(&["only"]).unwrap_or(rest);
                if let ([name, actions @ ..], Some(columns)) = (rest, &mut columns)
                    && is_table(name, table)
                {
                    entries(actions).into_iter().for_each(|action| alter(action, columns));
                }
            }
            _ => {}
        }
    }
    columns
}

/// Where a column of `table` is declared; else where the table is, or the text begins.
pub(super) fn offset(sql: &str, table: &str, column: &str) -> usize {
    let small = sql.to_ascii_lowercase();
    let of_table = word(&small, &table.to_ascii_lowercase(), small.find("create").unwrap_or_default());
    let start = of_table.unwrap_or_default();
    word(&small, &column.to_ascii_lowercase(), start + table.len()).unwrap_or(start)
}

/// A word in a text from `start` on, outside of comments.
fn word(text: &str, word: &str, start: usize) -> Option<usize> {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let rest = text.get(start..)?;
    rest.match_indices(word).map(|(at, _)| start + at).find(|at| {
        let (before, after) = (text.get(..*at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default());
        let line = before.rsplit('\n').next().unwrap_or_default();
        !word.is_empty() && !line.contains("--") && !before.ends_with(part) && !after.starts_with(part)
    })
}

fn is_table(name: &str, table: &str) -> bool {
    name == table || name.rsplit('.').next() == Some(table)
}

fn alter(action: &[&str], columns: &mut Vec<Column>) {
    let ["add", rest @ ..] = action else { return };
    let rest = rest.strip_prefix(&["column"]).unwrap_or(rest);
    let rest = rest.strip_prefix(&["if", "not", "exists"]).unwrap_or(rest);
    if let Some(added) = column(rest)
        && !columns.iter().any(|column| column.name == added.name)
    {
        columns.push(added);
    }
}

fn column(entry: &[&str]) -> Option<Column> {
    let (name, rest) = entry.split_first()?;
    if NO_COLUMN.contains(name) || rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|word| ENDS.contains(word)).unwrap_or(rest.len());
    let (kind, constraints) = rest.split_at(end);
    let kind = kind.join(" ").replace(" (", "(").replace("( ", "(").replace(" )", ")").replace(" , ", ",");
    let has = |pair: &[&str]| constraints.windows(pair.len()).any(|window| window == pair);
    Some(Column {
        name: (*name).to_owned(),
        kind,
        required: has(&["not", "null"]) || has(&["primary", "key"]),
        has_default: has(&["default"]) || has(&["generated"]),
    })
}

/// What stands before the parenthesis that closes the one before these words; what follows it, such as
/// `with (fillfactor = 80)`, is no column.
fn inside<'w, 'a>(words: &'w [&'a str]) -> &'w [&'a str] {
    let mut depth = 1;
    let end = words.iter().position(|word| {
        depth += deeper(word);
        depth == 0
    });
    words.get(..end.unwrap_or(words.len())).unwrap_or_default()
}

/// Parts between commas that are in no parentheses.
fn entries<'w, 'a>(words: &'w [&'a str]) -> Vec<&'w [&'a str]> {
    let mut depth = 0;
    let parts = words.split(|word| {
        depth += deeper(word);
        *word == "," && depth == 0
    });
    parts.collect()
}

/// How much deeper in parentheses a word leads.
fn deeper(word: &str) -> i32 {
    match word {
        "(" => 1,
        ")" => -1,
        _ => 0,
    }
}

/// Statements, without comments; texts and bodies of functions become empty.
pub(crate) fn statements(sql: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut rest = sql;
    while let Some(letter) = rest.chars().next() {
        let skip = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(tag) = dollar(rest) {
            rest.get(tag.len()..).and_then(|body| body.find(tag)).map_or(rest.len(), |end| end + 2 * tag.len())
        } else if letter == '\'' {
            rest.get(1..).and_then(|text| text.find('\'')).map_or(rest.len(), |end| end + 2)
        } else {
            0
        };
        if skip > 0 {
            rest = rest.get(skip..).unwrap_or_default();
            continue;
        }
        if letter == ';' {
            statements.push(String::new());
        } else if let Some(last) = statements.last_mut() {
            last.push(letter);
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    statements
}

/// What begins a text between dollars: `$$`, `$body$`.
fn dollar(rest: &str) -> Option<&str> {
    let end = rest.strip_prefix('$')?.find('$')? + 2;
    let tag = rest.get(..end)?;
    tag.trim_matches('$').bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then_some(tag)
}

/// Words in small letters; parentheses and commas are words. Quotes around a name go.
fn words(statement: &str) -> Vec<String> {
    let spaced = statement.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
    spaced.split_whitespace().map(|word| word.replace('"', "").to_lowercase()).collect()
}
