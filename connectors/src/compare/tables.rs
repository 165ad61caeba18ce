//! Tables: what a file makes of nothing, and what it would make of the table that is there, beside what is there. The file
//! runs in a schema that nobody else sees, in a transaction that is never committed: no table of anybody is locked.

use super::{Deadline, Difference, Place, Refusal, Thing, told};
use crate::apply::Target;
use crate::files::Table;
use crate::postgres::{Parts, Rehearsed};
use crate::retry;

pub(super) async fn compare(target: &Target, tables: &[Table], deadline: Deadline) -> Result<Vec<Thing>, String> {
    let mut things = Vec::new();
    for table in tables {
        let found = retry::until(deadline, "PostgreSQL", || target.postgres.rehearse(table)).await;
        things.push(thing(table, &found.map_err(|err| told(&format!("table {}", table.name), err))?));
    }
    Ok(things)
}

fn thing(table: &Table, found: &Rehearsed) -> Thing {
    let file = format!("stores/{}.sql", table.name);
    let mut thing = Thing::new("table", &table.name, &file);
    let Rehearsed { there, made, after } = found;
    if there.is_empty() {
        thing.place = Place::File;
    }
    for (key, says) in made {
        let has = there.get(key);
        if has == Some(says) {
            continue;
        }
        let difference = Difference::new(key, has.cloned(), Some(says.clone()));
        // Of columns it is known what the statements make of a table that is there already.
        if thing.place == Place::Both && is_column(key) && after.get(key) != Some(says) {
            let message = format!(
                "no statement of {file} brings a table that is there to this: `create table if not exists` leaves it as it \
                 is; add an `alter table {}`",
                table.name
            );
            thing.refused.push(Refusal::new(key, message));
            thing.differences.push(difference.left());
        } else {
            thing.differences.push(difference);
        }
    }
    thing.differences.extend(left(there, made));
    thing
}

/// What only the server has; a file that stands aside takes nothing away.
fn left(there: &Parts, made: &Parts) -> impl Iterator<Item = Difference> {
    there
        .iter()
        .filter(|(key, _)| !made.contains_key(*key))
        .map(|(key, has)| Difference::new(key, Some(has.clone()), None).left())
}

fn is_column(key: &str) -> bool {
    key.starts_with("column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(list: &[(&str, &str)]) -> Parts {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn table() -> Table {
        Table { name: "t".to_owned(), sql: String::new() }
    }

    const MADE: [(&str, &str); 3] =
        [("column a", "text not null"), ("column b", "integer"), ("index t_by_b", "btree (b)")];

    #[test]
    fn a_column_that_the_file_adds_is_a_change_and_one_that_it_only_names_is_refused() {
        let (there, made) = (parts(&[("column a", "text not null")]), parts(&MADE));
        let adds = thing(&table(), &Rehearsed { there: there.clone(), made: made.clone(), after: made.clone() });
        assert!(adds.changes() && adds.refused.is_empty(), "{adds:?}");
        let names = thing(&table(), &Rehearsed { there: there.clone(), made, after: there });
        assert_eq!(names.refused.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["column b"]);
        assert!(names.differences.iter().any(|one| one.key == "index t_by_b" && one.applies), "{names:?}");
    }

    #[test]
    fn a_table_as_its_file_has_no_difference_and_what_a_person_added_is_left() {
        let made = parts(&MADE);
        let same = Rehearsed { there: made.clone(), made: made.clone(), after: made.clone() };
        assert_eq!(thing(&table(), &same).differences, []);
        let mut more = made.clone();
        more.insert("column note".to_owned(), "text".to_owned());
        let found = thing(&table(), &Rehearsed { there: more, ..same });
        assert_eq!((found.differences.len(), found.changes()), (1, false));
        let none = thing(&table(), &Rehearsed { there: Parts::new(), made: made.clone(), after: made });
        assert_eq!((none.place, none.differences.len()), (Place::File, 3));
    }
}
