//! What Slurm says of a sweep's tasks.

use std::collections::BTreeMap;
use std::fmt;

use super::{asked, command};

/// An element of an array, as `squeue` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub array: u64,
    pub element: usize,
    pub state: String,
    pub reason: String,
    /// As `wait` gives it: 256 times the exit code, or a signal's number.
    pub status: u64,
    pub restarts: u64,
}

const ACTIVE: [&str; 14] = [
    "PENDING",
    "RUNNING",
    "CONFIGURING",
    "COMPLETING",
    "SUSPENDED",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SPECIAL_EXIT",
    "RESV_DEL_HOLD",
];

impl Row {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        ACTIVE.contains(&self.state.as_str())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        if !self.reason.is_empty() && self.reason != "None" {
            write!(f, " ({})", self.reason)?;
        }
        match (self.status & 127, self.status >> 8) {
            _ if self.is_active() => Ok(()),
            (0, 0) => Ok(()),
            (0, code) => write!(f, ", exit {code}"),
            (signal, _) => write!(f, ", signal {signal}"),
        }
    }
}

/// What `squeue` is asked to show.
const FIELDS: &str = "Name:64|,ArrayJobID:20|,ArrayTaskID:20|,State:24|,Reason:64|,exit_code:20|,RestartCnt:12|";

/// The last that Slurm knows of each point, by its number; or why it could not be asked. That it knows nothing of a
/// name is an answer too.
pub fn queue(names: &[String]) -> Result<BTreeMap<usize, Row>, String> {
    // Answers at once where the others would hang.
    let ping = asked(command("scontrol").arg("ping"))?;
    if !String::from_utf8_lossy(&ping.stdout).contains("UP") {
        return Err("Slurm's controller is down".to_owned());
    }
    let names = format!("--name={}", names.join(","));
    let output = asked(command("squeue").args(["-h", "-a", "-r", "-t", "all", &names, "-O", FIELDS]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("`squeue` failed: {said}"));
    }
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

fn read(text: &str) -> BTreeMap<usize, Row> {
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some((point, row)) = row(&fields) else { continue };
        // The newest array counts, and in it whatever has not ended.
        let rank = |row: &Row| (row.is_active(), row.array);
        match rows.get(&point) {
            Some(known) if rank(known) >= rank(&row) => {}
            _ => drop(rows.insert(point, row)),
        }
    }
    rows
}

fn row(fields: &[&str]) -> Option<(usize, Row)> {
    let [name, array, element, state, reason, status, restarts, ..] = fields else { return None };
    let offset: usize = name.rsplit('-').next()?.parse().ok()?;
    let element: usize = element.parse().ok()?;
    let point = offset.checked_add(element)?;
    let row = Row {
        array: array.parse().ok()?,
        element,
        state: (*state).to_owned(),
        reason: (*reason).to_owned(),
        status: status.parse().unwrap_or(0),
        restarts: restarts.parse().unwrap_or(0),
    };
    Some((point, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_of_a_point_counts() {
        let text = "requant-ab-1     |7   |0   |FAILED     |NonZeroExitCode|768|0|\n\
                    requant-ab-1     |9   |0   |PENDING    |Priority|0|0|\n\
                    requant-ab-1002  |8   |3   |CANCELLED  |None|15|1|\n\
                    requant-ab-gather|10  |N/A |PENDING    |Dependency|0|0|\n";
        let rows = read(text);
        assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [1, 1005]);
        assert_eq!(rows[&1].to_string(), "PENDING (Priority)");
        assert_eq!(rows[&1005].to_string(), "CANCELLED, signal 15");
        let failed = Row { state: "FAILED".into(), reason: "None".into(), status: 768, ..rows[&1].clone() };
        assert_eq!(failed.to_string(), "FAILED, exit 3");
    }
}
