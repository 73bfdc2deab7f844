//! Where points are to run, as asked and as the last launch had it.

use super::args::{Launcher, Terms};
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::sweep::launch::{self, How};

impl Terms {
    /// Options of the other launcher are a mistake.
    pub(super) fn fit(&self, here: bool) -> Result<(), Failure> {
        let slurm = [
            ("--array-throttle", self.array_throttle.is_some()),
            ("--partition", self.partition.is_some()),
            ("--time", self.time.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--gres", self.gres.is_some()),
            ("--mem", self.mem.is_some()),
            ("--sbatch", !self.sbatch.is_empty()),
            ("--wait", self.wait),
        ];
        let own = [("--jobs", self.jobs.is_some())];
        let strange = if here { slurm.iter().find(|(_, given)| *given) } else { own.iter().find(|(_, given)| *given) };
        let Some((option, _)) = strange else { return self.leave_out() };
        let (launcher, next) = if here {
            ("slurm", "add `--launcher slurm`, or leave it out")
        } else {
            ("local", "use `--array-throttle`, or leave it out")
        };
        let message = format!("`{option}` is an option of `--launcher {launcher}`");
        Err(Diagnostic::error(Cause::Input, message).next(next).into())
    }

    /// What requant itself says to Slurm cannot be said otherwise: jobs would not be found again.
    fn leave_out(&self) -> Result<(), Failure> {
        const OWN: [&str; 13] = [
            "--array",
            "-a",
            "--job-name",
            "-J",
            "--dependency",
            "-d",
            "--output",
            "-o",
            "--chdir",
            "-D",
            "--wrap",
            "--parsable",
            "--wait",
        ];
        let is_own = |option: &&String| {
            let name = option.split(['=', ' ']).next().unwrap_or_default();
            let short = name.len() > 2 && !name.starts_with("--");
            OWN.iter().any(|own| name == *own || (short && own.len() == 2 && name.starts_with(own)))
        };
        let Some(option) = self.sbatch.iter().find(is_own) else { return Ok(()) };
        let message = format!("`--sbatch={option}` is requant's own to set");
        Err(Diagnostic::error(Cause::Input, message).next("leave it out").into())
    }

    /// As asked, or else as the last launch was.
    pub(super) fn how(&self, last: Option<&How>) -> How {
        let launcher = self.launcher.unwrap_or(match last {
            Some(How::Slurm(_)) => Launcher::Slurm,
            _ => Launcher::Local,
        });
        match launcher {
            Launcher::Local => {
                let before = if let Some(How::Local { jobs, .. }) = last { *jobs } else { 1 };
                let parallel = matches!(last, Some(How::Local { parallel_timing: true, .. })) || self.parallel_timing;
                How::Local { jobs: self.jobs.map_or(before, usize::from), parallel_timing: parallel }
            }
            Launcher::Slurm => {
                let before = if let Some(How::Slurm(terms)) = last { terms.clone() } else { launch::Terms::default() };
                let more = if self.sbatch.is_empty() { before.more } else { self.sbatch.clone() };
                How::Slurm(launch::Terms {
                    throttle: self.array_throttle.map(|n| n as usize).or(before.throttle),
                    partition: self.partition.clone().or(before.partition),
                    time: self.time.clone().or(before.time),
                    cpus: self.cpus.map(|n| n as usize).or(before.cpus),
                    gres: self.gres.clone().or(before.gres),
                    mem: self.mem.clone().or(before.mem),
                    more,
                    parallel_timing: self.parallel_timing || before.parallel_timing,
                })
            }
        }
    }
}
