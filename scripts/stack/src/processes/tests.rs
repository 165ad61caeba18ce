//! Leftovers that carry no mark: what is found by the number that was written down.

use std::process::{Child, Command};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stack-processes-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("run")).unwrap();
        Self(path)
    }

    /// A process under a service's name, with one child, none of which can be known by its environment.
    fn spawn(&self, service: Service) -> (Child, u32) {
        use std::os::unix::process::CommandExt;
        let (shell, sleep) = (self.0.join("shell"), self.0.join(service.name()));
        fs::copy("/bin/sh", &shell).unwrap();
        fs::copy("/bin/sleep", &sleep).unwrap();
        let mut command = Command::new(&shell);
        let sleep = sleep.display();
        command.env_clear().args(["-c", &format!("{sleep} 60 & {sleep} 61; true")]).current_dir("/");
        let main = command.process_group(0).spawn().unwrap();
        // A child has the shell's name until it has become the other program.
        let named = |pid: &u32| Stat::of(*pid).is_some_and(|stat| stat.name == service.process());
        let end = Instant::now() + Duration::from_secs(10);
        while children(main.id()).iter().filter(|pid| named(pid)).count() < 2 {
            assert!(Instant::now() < end, "the children have not begun");
            std::thread::yield_now();
        }
        let child = children(main.id()).into_iter().min().unwrap();
        (main, child)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_process_without_a_mark_is_found_with_its_children_by_its_number() {
    let folder = Folder::new("noted");
    let (mut main, child) = folder.spawn(Service::Edge);
    assert_eq!(of_stack(&folder.0, None), Vec::<u32>::new());
    remember(&folder.0, Service::Edge, main.id()).unwrap();
    let found = of_stack(&folder.0, Some(Service::Edge));
    assert!(found.len() == 3 && found.contains(&main.id()) && found.contains(&child), "{found:?}");
    assert_eq!(of_stack(&folder.0, Some(Service::Kafka)), Vec::<u32>::new());

    // Its children live on when it is killed, and are found by its group.
    main.kill().unwrap();
    main.wait().unwrap();
    assert!(of_stack(&folder.0, None).contains(&child));
    assert_eq!(sweep(&folder.0, None, Duration::from_secs(10)), Ok(2));
    assert!(!lives(child));
}

#[test]
fn a_stranger_with_the_number_of_a_dead_one_is_left_alone() {
    let folder = Folder::new("stranger");
    let (mut main, _) = folder.spawn(Service::Edge);
    let began = Stat::of(main.id()).unwrap().began;
    fs::write(note(&folder.0, Service::Edge), format!("{} {}", main.id(), began - 1)).unwrap();
    assert_eq!(of_stack(&folder.0, None), Vec::<u32>::new());
    signal_group(main.id(), Signal::KILL);
    main.wait().unwrap();
}
