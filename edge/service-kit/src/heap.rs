//! What the C library keeps of memory that was freed.

/// Gives back to the system what was freed: for the end of work that needed much for a short time, as compiling a module.
/// glibc keeps it otherwise, some megabytes for each thread that took part, as long as the process lives. Takes about a
/// millisecond; does nothing where the C library is another.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            // Any thread may call it at any time (malloc_trim(3)).
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident_mib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        kib.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() / 1024
    }

    #[test]
    fn what_was_freed_goes_back_to_the_system() {
        let before = resident_mib();
        let mut much: Vec<Box<[u8; 1024]>> = (0..100_000).map(|nth| Box::new([nth as u8; 1024])).collect();
        // It lies behind all others, so that these cannot go by themselves.
        let last = much.pop();
        assert!(before + 80 < resident_mib());
        drop(much);
        give_back();
        let after = resident_mib();
        assert!(after < before + 40, "{before} MiB before, {after} after");
        drop(last);
    }
}
