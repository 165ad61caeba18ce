//! A clock that can be set wrong, for some processes alone (`clock.c`). Not libfaketime: with it an allocator that asks for
//! the time, as the edge's, ends by a segmentation fault, and it makes a duration of each wait until a time of day, while
//! librdkafka's waits are such.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use promise::load::now_ms;
use promise::world::WrongClock;

use crate::house::House;

/// How long somebody may still go by what a clock said before it was set, in milliseconds.
const LAG_MS: i64 = 1_000;

/// The file that says how wrong it is; removed with this value.
pub(crate) struct Clock(PathBuf);

impl Clock {
    /// One that is right.
    pub(crate) fn right() -> Self {
        let clock = Self(crate::house::scratch("clocks").join(format!("{}.ahead", std::process::id())));
        clock.write(0);
        clock
    }

    /// From now on it is so many seconds ahead of what is true, and the house knows it.
    pub(crate) fn jump(&self, house: &House, seconds: i64) {
        let mut clocks = house.clocks.lock().unwrap();
        let now = now_ms();
        clocks.iter_mut().for_each(|clock| clock.until_ms = clock.until_ms.min(now + LAG_MS));
        clocks.push(WrongClock { from_ms: now, until_ms: i64::MAX, ahead_ms: seconds * 1_000 });
        self.write(seconds);
    }

    fn write(&self, seconds: i64) {
        // In place: it is mapped by whoever goes by it.
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&self.0).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_le_bytes(), 0).unwrap();
    }

    /// What makes it a process's clock.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let library = self.0.with_extension("so");
        if !library.exists() {
            let source = crate::house::root().join("scripts/promise/tests/it/clock.c");
            let mut build = Command::new("cc");
            build.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
            assert!(build.status().unwrap().success(), "{build:?}");
        }
        [("LD_PRELOAD", library.display().to_string()), ("WRONG_CLOCK", self.0.display().to_string())]
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(self.0.with_extension("so"));
    }
}
