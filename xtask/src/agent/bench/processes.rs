//! Processes of Wine, as the kernel sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Linux counts times of processes in hundredths of a second (`USER_HZ`), everywhere.
const MILLIS_PER_TICK: u64 = 10;

/// A Windows program that runs.
#[derive(Clone, Debug)]
pub(super) struct Running(PathBuf);

impl Running {
    /// The one that was started from this file with this first argument.
    pub fn find(exe: &Path, argument: &str) -> Option<Self> {
        let (exe, argument) = (exe.display().to_string(), argument.as_bytes());
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let is_it = |process: &PathBuf| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            // Wine names the program as it was called or as Windows sees it: drive Z is the whole file system.
            let program = String::from_utf8_lossy(words.next().unwrap_or_default()).replace('\\', "/");
            program.ends_with(&exe) && words.next() == Some(argument)
        };
        processes.into_iter().find(is_it).map(Self)
    }

    /// Memory that is this process's alone, in MiB: what is shared with others, programs and libraries that are mapped
    /// unchanged among it, is not counted. Task Manager calls it the private working set.
    pub fn private_mib(&self) -> Result<f64> {
        let rollup = self.read("smaps_rollup")?;
        let kib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        };
        let (clean, dirty) = (kib("Private_Clean:"), kib("Private_Dirty:"));
        Ok(clean.zip(dirty).map(|(clean, dirty)| clean + dirty).context("smaps_rollup: no private memory")? / 1024.0)
    }

    /// Processor time that it took so far, that of the kernel for it among it.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // Behind the name, which may hold anything: fields 3 and on (proc(5)); 14 and 15 are user and system time.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        ensure!(ticks.len() == 2, "stat: no times");
        Ok(Duration::from_millis(ticks.iter().sum::<u64>() * MILLIS_PER_TICK))
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.0.join(file);
        fs::read_to_string(&path).with_context(|| format!("{}: the process has ended", path.display()))
    }
}
