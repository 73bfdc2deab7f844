//! Two runs side by side: what differs, what may explain it, and what may not be compared.
//! Pure, like everything that is a function of records.

mod causes;
mod layers;
pub mod levels;
mod many;
mod page;
mod results;

pub use causes::{Change, Rank};
pub use layers::LayerChange;
pub use many::table;
pub use page::{Layout, render};
pub use results::{Flip, Quantity, QuantityKind, Standing, Status, VariantDiff};

use std::path::Path;

use serde::Serialize;

use crate::manifest::Task;
use crate::record::answers::{self, Answers};
use crate::record::outputs::{self, Outputs};
use crate::record::store::{self, RecordError};
use crate::record::{Record, format};

/// Major version of the JSON that a diff prints; additions do not raise it.
pub const FORMAT: u32 = 1;

/// A run as it is compared.
#[derive(Debug, Clone)]
pub struct Side {
    /// As a person calls it.
    pub name: String,
    pub record: Record,
    /// Absent for a record without its folder.
    pub answers: Option<Answers>,
    /// Of `task = "fidelity"`, in place of answers.
    pub outputs: Option<Outputs>,
}

/// Reads a run's folder, or a record file alone.
pub fn load(path: &Path, name: String) -> Result<Side, RecordError> {
    let record = store::read(path)?;
    let (mut answers, mut outputs) = (None, None);
    if path.is_dir() {
        match record.settings.task {
            Task::Classification => answers = Some(answers::read(path)?),
            Task::Fidelity => outputs = Some(outputs::read(path)?),
        }
    }
    Ok(Side { name, record, answers, outputs })
}

/// How a run is called in a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    pub name: String,
    pub id: String,
    pub started: String,
    pub format: String,
}

/// What a judgement was and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turned {
    /// `verdict`, `goal KEY of VARIANT`, or `check CODE`.
    pub what: String,
    pub a: String,
    pub b: String,
}

/// Everything in which two runs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    pub format: u32,
    pub a: Named,
    pub b: Named,
    /// What may explain the rest, the likeliest first.
    pub causes: Vec<Change>,
    pub judgements: Vec<Turned>,
    /// Variants of either run, those of A first.
    pub variants: Vec<VariantDiff>,
    pub layers: Vec<LayerChange>,
    /// Why times are not compared, where they are not.
    pub no_speed_because: Option<String>,
    /// Whether either ran in a virtual machine, whose processor others share.
    pub virtual_machine: bool,
    /// Why samples are not paired, where they are not.
    pub no_pairs_because: Option<String>,
}

impl Diff {
    #[must_use]
    pub fn of(a: &Side, b: &Side) -> Self {
        let causes = causes::between(&a.record, &b.record);
        let no_speed_because = causes::against_speed(&causes).or_else(|| results::timed_beside(a, b));
        let no_pairs_because = results::against_pairs(a, b);
        let virtual_machine = a.record.host.virtual_machine || b.record.host.virtual_machine;
        let noise = [a, b].map(|side| side.record.settings.benchmark.noise_floor);
        let floor = no_speed_because.is_none().then_some(noise[0].max(noise[1]));
        let times = results::Times { floor, shared: virtual_machine };
        Self {
            format: FORMAT,
            a: named(a),
            b: named(b),
            judgements: judgements(&a.record, &b.record),
            variants: results::between(a, b, times, no_pairs_because.is_none()),
            layers: layers::between(&a.record.network.layers, &b.record.network.layers),
            causes,
            virtual_machine,
            no_speed_because,
            no_pairs_because,
        }
    }

    /// Whether the runs are the same in everything that a diff looks at; figures that were measured
    /// anew may stand apart by chance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
            && self.layers.is_empty()
            && !self.results_differ()
            && self.variants.iter().all(VariantDiff::is_same)
    }

    /// Whether the results differ by more than chance: judgements, answers, accuracy, speed, sizes.
    #[must_use]
    pub fn results_differ(&self) -> bool {
        !self.judgements.is_empty() || self.variants.iter().any(VariantDiff::differs)
    }
}

fn named(side: &Side) -> Named {
    let Record { run, format, .. } = &side.record;
    Named { name: side.name.clone(), id: run.id.clone(), started: run.started.clone(), format: format.clone() }
}

/// Of a goal or a check that a run does not have.
const ABSENT: &str = "not asked";

fn judgements(a: &Record, b: &Record) -> Vec<Turned> {
    let turned = |what: String, a: &str, b: &str| (a != b).then(|| Turned { what, a: a.into(), b: b.into() });
    let mut all: Vec<Turned> = turned("verdict".into(), a.verdict.word(), b.verdict.word()).into_iter().collect();
    let goal_of = |record: &Record, goal: &format::GoalOutcome| {
        let found = record.goals.iter().find(|other| other.goal == goal.goal && other.variant == goal.variant);
        found.map_or(ABSENT, |found| found.verdict.word())
    };
    let code_of = |record: &Record, code: &str| {
        record.findings.iter().find(|other| other.code == code).map_or(ABSENT, |found| found.verdict.word())
    };
    let only_b = b.goals.iter().filter(|goal| goal_of(a, goal) == ABSENT);
    for goal in a.goals.iter().chain(only_b) {
        all.extend(turned(format!("goal {} of {}", goal.goal, goal.variant), goal_of(a, goal), goal_of(b, goal)));
    }
    let only_b = b.findings.iter().filter(|finding| code_of(a, &finding.code) == ABSENT);
    for finding in a.findings.iter().chain(only_b) {
        let code = &finding.code;
        // An earlier requant had fewer checks.
        if a.format == b.format || (code_of(a, code) != ABSENT && code_of(b, code) != ABSENT) {
            all.extend(turned(format!("check {code}"), code_of(a, code), code_of(b, code)));
        }
    }
    all
}
