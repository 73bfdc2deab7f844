//! A variant cannot win by remembering: the measuring process with sessions that do.

use std::collections::BTreeMap;

use requant::backend::{BackendError, Session};
use requant::base::digest::Digest;
use requant::base::files;
use requant::codec::{onnx, torchscript};
use requant::graph::pass;
use requant::manifest::{self, Compute, Isa, Overrides};
use requant::measure::turn::{Length, Probed};
use requant::measure::worker::{Answer, Ask};
use requant::pipeline::{self, Task};
use requant::tensor::Tensor;

use crate::lab::{self, Bench};

const COMPUTE: Compute = Compute { threads: 1, isa: Isa::Native };

/// Answers what it has been asked before, whatever it was handed over as, from memory.
struct Memory {
    network: Box<dyn Session>,
    known: BTreeMap<Digest, Vec<Tensor>>,
    asked: Digest,
}

impl Session for Memory {
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
        self.asked = Digest::of(&input.data().to_le_bytes());
        self.network.load(input)
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        if !self.known.contains_key(&self.asked) {
            self.network.forward()?;
            self.known.insert(self.asked, self.network.outputs()?);
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<Tensor>, BackendError> {
        Ok(self.known[&self.asked].clone())
    }
}

/// What the measuring process answers of the demo's network, asked for a turn and, where a pass's usual time is known,
/// for a probe after it.
fn answers(wrap: &pipeline::Wrap<'_>, usual_nanoseconds: Option<u64>) -> Vec<Answer> {
    drop(lab::start(&COMPUTE).unwrap());
    let bench = Bench::new();
    let manifest = bench.digits(&[]);
    let resolved = manifest::load(&manifest, &Overrides::default()).unwrap();
    let model = files::read(&bench.path("models/digits-mobilenet_v3_small.onnx")).unwrap();
    let (graph, _) = pass::run_all(onnx::read(&model).unwrap().graph).unwrap();
    let artefact = bench.put("float.pt", &torchscript::write(&graph, torchscript::Variant::Float).unwrap());
    let shape = vec![9, 3, 32, 32];
    let count: usize = shape.iter().product();
    let values: Vec<u8> = (0..count).flat_map(|at| ((at % 97) as f32 / 97.0).to_le_bytes()).collect();
    let input = bench.put("samples", &values);
    let length = Length { warmup: 2, max_warmup: 2, iterations: 3, min_seconds: 0.0 };
    let variant = Task { variant: resolved.manifest.variant[0].clone(), compute: COMPUTE };
    let mut asks = vec![Ask::Open { variant, artefact, input, shape }, Ask::Time { batch: 4, length }];
    asks.extend(usual_nanoseconds.map(|usual_nanoseconds| Ask::Probe { batch: 4, inputs: 5, usual_nanoseconds }));
    asks.push(Ask::Finish);
    let requests: String = asks.iter().map(|ask| serde_json::to_string(ask).unwrap() + "\n").collect();
    let mut told = Vec::new();
    pipeline::serve_wrapped(requests.as_bytes(), &mut told, wrap).unwrap();
    let told = String::from_utf8(told).unwrap();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a probe finds that knows how long a turn's passes usually take.
fn probed(wrap: &pipeline::Wrap<'_>) -> Probed {
    let turn = answers(wrap, None);
    let usual = turn.iter().find_map(|answer| if let Answer::Timed(timed) = answer { timed.usual() } else { None });
    let found = answers(wrap, usual);
    let found =
        found.into_iter().find_map(|answer| if let Answer::Probed(probed) = answer { Some(probed) } else { None });
    found.unwrap_or_else(|| panic!("{turn:?}"))
}

/// Above this a first look is called suspiciously slow (`diagnose::timing`).
const SUSPICIOUS: f64 = 3.0;

#[test]
fn answers_kept_by_content_are_found_though_the_timed_input_is_among_them() {
    let kept = probed(&|network| Box::new(Memory { network, known: BTreeMap::new(), asked: Digest::of(b"") }));
    assert!(kept.ratio().unwrap() > SUSPICIOUS, "{kept:?}");
    let honest = probed(&|network| network);
    assert!(honest.ratio().unwrap() < SUSPICIOUS, "{honest:?}");
}
