//! A disk of the table's own that can be filled to the last byte: a file system in memory, as a tablespace.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use promise::read::{Postgres, postgres_config};

use crate::house::House;

/// Room for the table of the longest run before it is filled.
const SIZE: &str = "256m";

/// Mounted for as long as this value lives; root may.
pub(crate) struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// Moves the table to a disk of its own.
    pub(crate) fn under_the_table(house: &House) -> Self {
        let place = std::env::temp_dir().join(format!("orderflow-small-disk-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        // It must be the server's own.
        let server = fs::metadata(format!("/proc/{}", house.stack.pid(stack::Service::Postgres).unwrap())).unwrap();
        let options = format!("size={SIZE},mode=0700,uid={},gid={}", server.uid(), server.gid());
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&place));
        let disk = Self { place };
        let location = disk.place.display();
        superuser(house, &format!("create tablespace small location '{location}'"));
        superuser(house, "alter table order_placed set tablespace small");
        disk
    }

    /// Nothing can be written on it any more.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        let page = [0; 4_096];
        let full = loop {
            if let Err(error) = filler.write_all(&page) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    }

    /// There is room again, and the table goes back to where it was.
    pub(crate) fn put_right(self, house: &House) {
        fs::remove_file(self.filler()).unwrap();
        superuser(house, "alter table order_placed set tablespace pg_default");
        superuser(house, "drop tablespace small");
    }

    fn filler(&self) -> PathBuf {
        self.place.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: after a failed test the server may still have files open there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.place).status();
        let _ = fs::remove_dir(&self.place);
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}; a full disk needs root");
}

/// The cluster's first role has the password that was made for all.
fn superuser(house: &House, sql: &str) {
    let postgres = &house.stack.endpoints().postgres;
    let config = postgres_config(&postgres.host, postgres.port, &postgres.database, "postgres", &postgres.password);
    house.runtime.block_on(async { Postgres::connect(&config).await.unwrap().run(sql).await.unwrap() });
}
