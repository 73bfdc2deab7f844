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

/// What the measuring process answers of the demo's network.
fn answers(wrap: &pipeline::Wrap<'_>) -> Vec<Answer> {
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
    let asks = [
        Ask::Open { variant, artefact, input, shape },
        Ask::Time { batch: 4, length },
        Ask::Probe { batch: 4, inputs: 5 },
        Ask::Finish,
    ];
    let requests: String = asks.iter().map(|ask| serde_json::to_string(ask).unwrap() + "\n").collect();
    let mut told = Vec::new();
    pipeline::serve_wrapped(requests.as_bytes(), &mut told, wrap).unwrap();
    let told = String::from_utf8(told).unwrap();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn probed(answers: &[Answer]) -> &Probed {
    let found = answers.iter().find_map(|answer| if let Answer::Probed(probed) = answer { Some(probed) } else { None });
    found.unwrap_or_else(|| panic!("{answers:?}"))
}

/// Above this a first look is called suspiciously slow (`diagnose::timing`).
const SUSPICIOUS: f64 = 3.0;

#[test]
fn answers_kept_by_content_are_found_though_the_timed_input_is_among_them() {
    let kept = answers(&|network| Box::new(Memory { network, known: BTreeMap::new(), asked: Digest::of(b"") }));
    assert!(probed(&kept).ratio().unwrap() > SUSPICIOUS, "{:?}", probed(&kept));
    let honest = answers(&|network| network);
    assert!(probed(&honest).ratio().unwrap() < SUSPICIOUS, "{:?}", probed(&honest));
}
