//! Slurm, by its own commands: one array of tasks, and a job that gathers when all of them have ended.

mod queue;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

pub use queue::{Row, queue};

use super::Folder;
use super::attempt::Job;
use super::launch::{Array, How, Launch, Terms, launches};
use crate::base::clock;
use crate::base::explain::{Cause, Diagnostic, Failure};
use crate::base::units::ranges;

/// Every name that a job of the sweep's points may have. Jobs are asked for by name, not by number: one that was
/// submitted by a launcher that died before it could write its number down is found too.
pub fn job_names(folder: &Folder) -> Result<Vec<String>, Failure> {
    let offsets: BTreeSet<usize> =
        launches(folder)?.iter().flat_map(|launch| launch.arrays.iter().map(|array| array.offset)).collect();
    Ok(offsets.into_iter().map(|offset| job_name(folder, &offset.to_string())).collect())
}

fn job_name(folder: &Folder, what: &str) -> String {
    format!("requant-{}-{what}", folder.record.token)
}

/// Whether a Slurm is there to be asked.
pub fn at_hand() -> Result<(), Failure> {
    command("sbatch").arg("--version").output().map(drop).map_err(|error| {
        let message = format!("there is no Slurm here: `sbatch` does not start: {error}");
        Diagnostic::error(Cause::EngineMissing, message).next("log in to a cluster, or use `--launcher local`").into()
    })
}

/// Submits points: arrays, and a job that gathers after them. `program` is requant by its full path.
pub fn submit(folder: &Folder, points: &[usize], terms: &Terms, program: &Path) -> Result<Launch, Failure> {
    let cluster = Cluster::ask();
    // The job that gathers is one, too. Beyond its limit Slurm keeps whoever submits waiting for minutes.
    if points.len() >= cluster.jobs {
        let message = format!("{} points and the job that gathers are more than this cluster holds", points.len());
        let next = format!("divide the sweep; its MaxJobCount is {}", cluster.jobs);
        return Err(Diagnostic::error(Cause::Input, message).next(next).into());
    }
    let mut launch = Launch::begin(folder, How::Slurm(terms.clone()), arrays(points, cluster.array))?;
    let submission = Submission { folder, terms, program };
    if let Err(failure) = submission.all(&mut launch) {
        // Half a launch is none.
        take_back(&launch);
        launch.cancelled = Some(clock::stamp(clock::now()));
        launch.save(folder)?;
        return Err(failure);
    }
    Ok(launch)
}

struct Submission<'a> {
    folder: &'a Folder,
    terms: &'a Terms,
    program: &'a Path,
}

impl Submission<'_> {
    /// Every job of a launch, each written down as soon as Slurm has it.
    fn all(&self, launch: &mut Launch) -> Result<(), Failure> {
        let mut before: Vec<String> = Vec::new();
        for at in 0..launch.arrays.len() {
            let job = self.array(&launch.arrays[at], before.last())?;
            before.push(job.to_string());
            launch.arrays[at].job = Some(job);
            launch.save(self.folder)?;
        }
        launch.gather = Some(self.gather(&before)?);
        Ok(launch.save(self.folder)?)
    }

    fn array(&self, array: &Array, before: Option<&String>) -> Result<u64, Failure> {
        let Array { offset, elements, .. } = array;
        let Terms { throttle, partition, time, cpus, gres, mem, more, parallel_timing } = self.terms;
        let option = |name: &str, value: Option<&str>| value.map(|value| format!("--{name}={value}"));
        let most = throttle.map_or_else(String::new, |most| format!("%{most}"));
        let options = [
            option("array", Some(&format!("{elements}{most}"))),
            option("job-name", Some(&job_name(self.folder, &offset.to_string()))),
            option("output", Some(&self.log("slurm-%A_%a.log"))),
            option("partition", partition.as_deref()),
            option("time", time.as_deref()),
            option("cpus-per-task", cpus.map(|cpus| cpus.to_string()).as_deref()),
            option("gres", gres.as_deref()),
            option("mem", mem.as_deref()),
            // A throttle is one of all points together, so arrays follow each other.
            before.filter(|_| throttle.is_some()).map(|job| format!("--dependency=afterany:{job}")),
        ];
        let timing = if *parallel_timing { " --parallel-timing" } else { "" };
        let work = format!("exec {} task {} --offset {offset}{timing}", self.own(), self.home());
        sbatch(options.into_iter().flatten().chain(more.clone()), &work)
    }

    fn gather(&self, after: &[String]) -> Result<u64, Failure> {
        let options = [
            self.terms.partition.as_ref().map(|partition| format!("--partition={partition}")),
            Some(format!("--dependency=afterany:{}", after.join(":"))),
            Some(format!("--job-name={}", job_name(self.folder, "gather"))),
            Some(format!("--output={}", self.log("gather-%j.log"))),
        ];
        // A verdict is no failure of the job that came to it.
        let (own, home) = (self.own(), self.home());
        let work = format!("{own} gather {home}\ncode=$?\n[ $code = 1 ] || [ $code = 3 ] || exit $code");
        sbatch(options.into_iter().flatten().chain(self.terms.more.clone()), &work)
    }

    fn own(&self) -> String {
        format!("{} sweep", quoted(&self.program.display().to_string()))
    }

    fn home(&self) -> String {
        quoted(&absolute(&self.folder.path))
    }

    /// A file of the sweep's logs; Slurm fills in what follows a `%` of its name, and of no folder's.
    fn log(&self, name: &str) -> String {
        format!("{}/logs/{name}", absolute(&self.folder.path).replace('%', "%%"))
    }
}

fn take_back(launch: &Launch) {
    let jobs = launch.arrays.iter().filter_map(|array| array.job).chain(launch.gather);
    let jobs: Vec<String> = jobs.map(|job| job.to_string()).collect();
    if !jobs.is_empty() {
        let _ = command("scancel").args(jobs).output();
    }
}

fn sbatch(options: impl Iterator<Item = String>, work: &str) -> Result<u64, Failure> {
    let mut command = command("sbatch");
    command.arg("--parsable").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Ok(here) = std::env::current_dir() {
        command.arg(format!("--chdir={}", here.display()));
    }
    let script = format!("#!/bin/sh\n{work}\n");
    let mut run = || -> std::io::Result<Output> {
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // One that refuses its options does not read on.
            let _ = input.write_all(script.as_bytes());
        }
        child.wait_with_output()
    };
    let output = run().map_err(|error| refused(&error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    // `ID`, or `ID;CLUSTER` where there are several.
    let id = said.trim().split(';').next().and_then(|id| id.parse().ok());
    match id.filter(|_| output.status.success()) {
        Some(id) => Ok(id),
        None => Err(refused(String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn refused(why: &str) -> Failure {
    let why = why.lines().map(|line| line.trim_start_matches("sbatch: ").trim_start_matches("error: "));
    let message = format!("Slurm does not take the job: {}", why.collect::<Vec<_>>().join("; "));
    let next = "correct the option that it names; nothing was started, and `requant sweep retry` submits again";
    Diagnostic::error(Cause::Input, message).next(next).into()
}

/// Arrays of at most `largest` elements. Elements are numbers from 0 below that.
fn arrays(points: &[usize], largest: usize) -> Vec<Array> {
    let offsets: BTreeSet<usize> = points.iter().map(|point| (point - 1) / largest * largest).collect();
    let of = |offset: usize| {
        let own = points.iter().filter(|&&point| (offset..offset + largest).contains(&(point - 1)));
        let elements: Vec<usize> = own.map(|point| point - 1 - offset).collect();
        // Element n is point n + offset, and points count from 1.
        Array { offset: offset + 1, elements: ranges(&elements), job: None }
    };
    offsets.into_iter().map(of).collect()
}

/// What a cluster allows.
struct Cluster {
    /// One more than the largest number that an element of an array may have.
    array: usize,
    /// Jobs in all, elements counted each.
    jobs: usize,
}

impl Cluster {
    /// Slurm's own defaults where it does not say.
    fn ask() -> Self {
        let output = command("scontrol").args(["show", "config"]).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let (_, value) = lines.find(|(name, _)| name.trim() == key)?;
            value.trim().parse().ok().filter(|&value: &usize| value > 0)
        };
        Self { array: value("MaxArraySize").unwrap_or(1001), jobs: value("MaxJobCount").unwrap_or(10_000) }
    }
}

/// Calls off every job of the sweep, or single points of it. Returns how many jobs or points Slurm was told of.
pub fn cancel(folder: &Folder, points: &[usize]) -> Result<usize, Failure> {
    let mut launches = launches(folder)?;
    let live = |launch: &Launch| launch.cancelled.is_none() && !launch.arrays.is_empty();
    if !launches.iter().any(live) {
        return Ok(0);
    }
    let untold = |why: String| {
        let message = format!("Slurm could not be told to cancel: {why}");
        Failure::from(Diagnostic::error(Cause::Input, message).next("try again once its controller answers"))
    };
    // What Slurm has, since a launcher that died may have written nothing down; and what was written down, since of
    // two launches Slurm is heard about each point once.
    let rows = queue(&job_names(folder)?).map_err(untold)?;
    let heard = rows.iter().filter(|(_, row)| row.is_active()).map(|(point, row)| (*point, row.array, row.element));
    let arrays = launches.iter().filter(|launch| live(launch)).flat_map(|launch| &launch.arrays);
    let noted = arrays
        .filter_map(|array| Some((array, array.job?)))
        .flat_map(|(array, job)| array.numbers().into_iter().map(move |point| (point, job, point - array.offset)));
    let name = |(point, array, element): (usize, u64, usize)| match points {
        [] => Some(array.to_string()),
        _ => points.contains(&point).then(|| format!("{array}_{element}")),
    };
    let mut jobs: BTreeSet<String> = heard.chain(noted).filter_map(name).collect();
    if points.is_empty() {
        for launch in launches.iter_mut().filter(|launch| live(launch)) {
            jobs.extend(launch.gather.map(|job| job.to_string()));
            launch.cancelled = Some(clock::stamp(clock::now()));
        }
    }
    for job in &jobs {
        let output = asked(command("scancel").arg(job)).map_err(untold)?;
        let said = String::from_utf8_lossy(&output.stderr);
        // A job that has ended meanwhile is no failure.
        if !output.status.success() && !said.contains("Invalid job id") && !said.contains("already completing") {
            let message = format!("Slurm did not cancel job {job}: {}", said.trim());
            return Err(Diagnostic::error(Cause::Input, message).next("see `requant sweep status`").into());
        }
    }
    launches.iter().try_for_each(|launch| launch.save(folder))?;
    Ok(jobs.len())
}

/// Which element of an array this process is, if it is one.
#[must_use]
pub fn own_job() -> Option<Job> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    Some(Job {
        array: number("SLURM_ARRAY_JOB_ID")?,
        task: number("SLURM_ARRAY_TASK_ID")?,
        restart: number("SLURM_RESTART_COUNT").unwrap_or(0),
    })
}

/// A command of Slurm. What Slurm told this process of its own job must not reach the next one.
fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy().into_owned();
        if (key.starts_with("SLURM_") && key != "SLURM_CONF") || key.starts_with("SBATCH_") {
            command.env_remove(key);
        }
    }
    command.env("LC_ALL", "C");
    command
}

/// While its controller is down a command of Slurm hangs for a long time.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs a command of Slurm, unless its controller is down.
fn asked(command: &mut Command) -> Result<Output, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{}` does not start: {error}", command.get_program().to_string_lossy()))?;
    let began = clock::tick();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut text);
            }
            text
        })
    };
    let stdout = read(stdout.map(|pipe| Box::new(pipe) as _));
    let stderr = read(stderr.map(|pipe| Box::new(pipe) as _));
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => {
                let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
                return Ok(Output { status, stdout, stderr });
            }
            None if began.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("Slurm's controller does not answer".to_owned());
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_as_large_as_the_cluster_allows() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        let points: Vec<usize> = (1..=2500).filter(|point| point % 1000 != 7).collect();
        let made = arrays(&points, 1001);
        let shown: Vec<(usize, &str)> = made.iter().map(|array| (array.offset, array.elements.as_str())).collect();
        assert_eq!(shown, [(1, "0-5,7-1000"), (1002, "0-4,6-1000"), (2003, "0-3,5-497")]);
        assert_eq!(made.iter().flat_map(Array::numbers).collect::<Vec<_>>(), points);
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
