//! Operators one by one, against the inputs and outputs that ONNX records for them (its "node tests").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use requant::backend::{self, Request};
use requant::base::files;
use requant::codec::onnx::{self, ImportError, Stored, Takes};
use requant::codec::{Form, torchscript};
use requant::graph::Graph;
use requant::manifest::{Backend, Compute, Isa};
use requant::tensor::Tensor;

/// Where `cargo xtask node-tests` puts the tests of this version of ONNX, in the cache.
const VERSION: &str = "onnx-1.18.0";

/// As many as must pass at least.
const WANTED: usize = 400;

/// What ONNX's own runner allows, in part of the recorded value and absolutely.
const RELATIVE: f32 = 1e-3;
const ABSOLUTE: f32 = 1e-5;

#[test]
fn operators_compute_what_onnx_records() {
    let Some(folder) = files::cache().map(|cache| cache.join(VERSION)).filter(|folder| folder.is_dir()) else {
        return lab::skip("ONNX's node tests are not here; `cargo xtask node-tests` fetches them");
    };
    crate::start(&Compute { threads: 2, isa: Isa::Native }).unwrap();
    let mut page = Page::default();
    let mut wrong = Vec::new();
    for name in files::list(&folder).unwrap() {
        let case = folder.join(&name);
        match Case::read(&case).and_then(|case| case.run().map(|()| case)) {
            Ok(case) => page.passed(&case),
            Err(Ended::Refused(reason)) => page.refused(&case, reason),
            Err(Ended::Wrong(what)) => wrong.push(format!("{name}: {what}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(page.total_passed() >= WANTED, "{} passed", page.total_passed());
    page.check();
}

/// How a test ended that did not pass.
enum Ended {
    /// It asks for what requant does not claim.
    Refused(Reason),
    Wrong(String),
}

/// The operator that is refused, where it is one, and why.
struct Reason {
    operator: Option<String>,
    why: String,
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Self {
        let (operator, why) = match error {
            ImportError::Unsupported { operator, .. } => (Some(operator), String::new()),
            ImportError::Form { operator, reason, .. } => (Some(operator), reason),
            ImportError::Shape { .. } => (None, "its shapes are empty or out of bounds".into()),
            ImportError::Input { .. } | ImportError::Inputs { .. } => {
                (None, "its input is no 32-bit float tensor".into())
            }
            ImportError::Tensor { .. } | ImportError::ElementType { .. } => {
                (None, "it holds numbers of another type, or no tensors".into())
            }
            ImportError::Fixed { .. } => (None, "its output is known without running".into()),
            ImportError::Dangling { .. } => (None, "its output is not made at inference".into()),
            other => (None, other.to_string()),
        };
        Self::Refused(Reason { operator, why })
    }
}

fn refused(why: &str) -> Ended {
    Ended::Refused(Reason { operator: None, why: why.into() })
}

/// A recorded test: a file, what it is given, and what must come of it.
struct Case {
    bytes: Vec<u8>,
    operators: Vec<String>,
    given: BTreeMap<String, Stored>,
    running: Tensor,
    wanted: Vec<Tensor>,
}

impl Case {
    /// The first float input runs through the network; the others are given.
    fn read(folder: &Path) -> Result<Self, Ended> {
        let bytes = files::read(&folder.join("model.onnx")).unwrap();
        let outline = onnx::outline(&bytes)?;
        let data = folder.join("test_data_set_0");
        let mut given = BTreeMap::new();
        let mut running = None;
        for (place, name) in outline.inputs.iter().enumerate() {
            let stored = onnx::read_tensor(&files::read(&data.join(format!("input_{place}.pb"))).unwrap())?;
            if running.is_none() && stored.tensor().as_f32().is_some() {
                running = Some(stored.tensor().clone());
            } else {
                given.insert(name.clone(), stored);
            }
        }
        let stored = (0..).map(|place| data.join(format!("output_{place}.pb"))).take_while(|path| path.is_file());
        let wanted = stored.map(|path| Ok(onnx::read_tensor(&files::read(&path).unwrap())?.tensor().clone()));
        let wanted = wanted.collect::<Result<_, ImportError>>()?;
        let running = running.ok_or_else(|| refused("it has no float input"))?;
        Ok(Self { bytes, operators: outline.operators, given, running, wanted })
    }

    /// The first output must be right, and every other that requant gives. What is written as ONNX again must compute the same.
    fn run(&self) -> Result<(), Ended> {
        for (place, wanted) in self.wanted.iter().enumerate() {
            let graph = match onnx::read_function(&self.bytes, self.given.clone(), place) {
                // Statistics for training, masks and places of maxima, which no network reads.
                Err(_) if place > 0 && !self.operators.contains(&"Split".to_owned()) => continue,
                model => model?.graph,
            };
            let wanted = wanted.as_f32().map(|values| (wanted.shape(), values));
            let (shape, values) = wanted.ok_or_else(|| refused("its output is no 32-bit float tensor"))?;
            self.compare(&graph, shape, values).map_err(|what| Ended::Wrong(format!("output {place}: {what}")))?;
            let written = onnx::write(&graph, Form::Float);
            let again = onnx::read_function(&written, BTreeMap::new(), 0);
            let again = again.map_err(|error| Ended::Wrong(format!("read again: {error}")))?.graph;
            self.compare(&again, shape, values).map_err(|what| Ended::Wrong(format!("written again: {what}")))?;
        }
        Ok(())
    }

    fn compare(&self, graph: &Graph, shape: &[usize], wanted: &[f32]) -> Result<(), String> {
        let archive = torchscript::write(graph, Form::Float).map_err(|error| error.to_string())?;
        let mut session = backend::open(Request::float(Backend::Torch), &archive).map_err(|error| error.to_string())?;
        let found = session.run(&self.running).map_err(|error| error.to_string())?.remove(0);
        if found.shape() != shape {
            return Err(format!("shape {:?} for {shape:?}", found.shape()));
        }
        let same = |a: f32, b: f32| {
            a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() || (a - b).abs() <= ABSOLUTE + RELATIVE * b.abs()
        };
        let apart = found.as_f32().unwrap().iter().zip(wanted).find(|(a, b)| a != b && !same(**a, **b));
        apart.map_or(Ok(()), |(found, wanted)| Err(format!("{found} for {wanted}")))
    }
}

/// `docs/operators.md`.
#[derive(Default)]
struct Page {
    /// Of one operator, or of a function written out in several.
    alone: BTreeMap<String, usize>,
    together: usize,
    /// Tests of one operator that is read, by operator and reason.
    partly: BTreeMap<String, BTreeMap<String, usize>>,
    /// By operator that is not read.
    unread: BTreeMap<String, usize>,
    /// By reason.
    others: BTreeMap<String, usize>,
}

impl Page {
    fn total_passed(&self) -> usize {
        self.alone.values().sum::<usize>() + self.together
    }

    fn passed(&mut self, case: &Case) {
        match case.operators.as_slice() {
            [operator] => *self.alone.entry(operator.clone()).or_default() += 1,
            _ => self.together += 1,
        }
    }

    fn refused(&mut self, folder: &Path, Reason { operator, why }: Reason) {
        let operators = onnx::outline(&files::read(&folder.join("model.onnx")).unwrap()).unwrap().operators;
        let read: BTreeSet<&str> = onnx::operators().iter().map(|operator| operator.name).collect();
        let unread = operators.iter().find(|operator| !read.contains(operator.as_str()));
        let count = match (unread, operators.as_slice()) {
            (Some(unread), _) => self.unread.entry(unread.clone()),
            (None, [only]) => self.partly.entry(only.clone()).or_default().entry(why),
            (None, _) => self.others.entry(format!("{}: {why}", operator.unwrap_or_else(|| "a shape".into()))),
        };
        *count.or_default() += 1;
    }

    /// Compares the page with the committed one, or writes it where `UPDATE_GOLDEN` is set.
    fn check(&self) {
        let (path, page) = (lab::root().join("docs/operators.md"), self.text());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            return files::write(&path, page.as_bytes()).unwrap();
        }
        let held = files::read(&path).unwrap_or_default();
        assert!(held == page.as_bytes(), "{} is stale: run this test with UPDATE_GOLDEN=1\n{page}", path.display());
    }

    fn text(&self) -> String {
        let partly: usize = self.partly.values().flat_map(BTreeMap::values).sum();
        let (unread, others) = (self.unread.values().sum::<usize>(), self.others.values().sum::<usize>());
        let mut page = format!(
            "# Operators\n\nONNX operators that requant reads, for opsets {} to {}, held to the tests that ONNX records \
             for single operators (version 1.18.0 of its\npackage): the float network that requant makes of each file \
             is run, compared with the recorded output, written as ONNX, read\nand run again. This page is written by \
             that test (`UPDATE_GOLDEN=1 cargo test --release --test libtorch -- operators`), and CI holds it to the\npage.\n\n\
             **{} tests pass and none computes anything else.** Refused with a message: {partly} of operators that are \
             read, {unread} of operators that are not, {others}\nof functions written out in operators.\n\n",
            onnx::OPSETS.start(),
            onnx::OPSETS.end(),
            self.total_passed(),
        );
        page += "## Read\n\n`INT8`: it, or a part of it, computes in integers or moves them. `float`: it stays in float in a quantized network, \
                 which the report shows.\n`constants`: it is computed while the file is read, from shapes and constants.\n\n\
                 | operator | from opset | in a quantized network | tests passed | refused |\n|---|---|---|---|---|\n";
        for operator in onnx::operators() {
            let form = match operator.takes {
                Takes::Integers => "INT8",
                Takes::Reals => "float",
                Takes::Constants => "constants",
            };
            let passed = self.alone.get(operator.name).unwrap_or(&0);
            let refused: usize = self.partly.get(operator.name).map_or(0, |reasons| reasons.values().sum());
            let _ = writeln!(page, "| {} | {} | {form} | {passed} | {refused} |", operator.name, operator.since);
        }
        let _ = writeln!(page, "| functions written out in several operators | | | {} | {others} |", self.together);
        page += "\n## Refused, of operators that are read\n\n| operator | why | tests |\n|---|---|---|\n";
        for (operator, reasons) in &self.partly {
            for (why, count) in reasons {
                let _ = writeln!(page, "| {operator} | {why} | {count} |");
            }
        }
        page += "\n## Not read\n\n";
        let list = self.unread.iter().map(|(operator, count)| format!("{operator} ({count})"));
        page + &list.collect::<Vec<_>>().join(", ") + "\n"
    }
}
