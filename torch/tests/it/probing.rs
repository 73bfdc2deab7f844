//! A variant cannot win by remembering: the measuring process with sessions that do.

use std::collections::{BTreeMap, BTreeSet};

use lab::Bench;
use requant::backend::{BackendError, Session};
use requant::base::digest::Digest;
use requant::base::files;
use requant::bench::{self, Assignment};
use requant::codec::{Form, onnx, torchscript};
use requant::graph::pass;
use requant::manifest::{self, Compute, Isa, Overrides};
use requant::measure::summary::{self, Timing};
use requant::measure::turn::{Inputs, Length, Pass, Timed};
use requant::measure::worker::{Answer, Ask};
use requant::tensor::Tensor;

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

/// A turn of the demo's network in a measuring process of its own.
fn turn(wrap: &bench::Wrap<'_>) -> Timed {
    crate::start(&COMPUTE).unwrap();
    let bench = Bench::new();
    let manifest = bench.digits(&[]);
    let resolved = manifest::load(&manifest, &Overrides::default()).unwrap();
    let model = files::read(&bench.path("models/digits-mobilenet_v3_small.onnx")).unwrap();
    let (graph, _) = pass::run_all(onnx::read(&model).unwrap().graph).unwrap();
    let artefact = bench.put("float.pt", &torchscript::write(&graph, Form::Float).unwrap());
    let shape = vec![9, 3, 32, 32];
    let count: usize = shape.iter().product();
    let values: Vec<u8> = (0..count).flat_map(|at| ((at % 97) as f32 / 97.0).to_le_bytes()).collect();
    let input = bench.put("samples", &values);
    let length = Length { warmup: 2, max_warmup: 2, iterations: 12, min_seconds: 0.0 };
    let variant = Assignment { variant: resolved.manifest.variant[0].clone(), compute: COMPUTE };
    let inputs = Inputs { warm_up: 0, timed: vec![1, 2, 3, 4], next: 0 };
    let asks = [Ask::Open { variant, artefact, input, shape }, Ask::Time { batch: 4, length, inputs }, Ask::Finish];
    let requests: String = asks.iter().map(|ask| serde_json::to_string(ask).unwrap() + "\n").collect();
    let mut told = Vec::new();
    bench::serve_wrapped(requests.as_bytes(), &mut told, wrap).unwrap();
    let told = String::from_utf8(told).unwrap();
    let answers: Vec<Answer> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let timed =
        answers.iter().find_map(|answer| if let Answer::Timed(timed) = answer { Some(timed.clone()) } else { None });
    timed.unwrap_or_else(|| panic!("{answers:?}"))
}

/// Of two processes; nothing is left out, so that the test does not depend on who else uses the machine.
fn fresh_over_repeated(wrap: &bench::Wrap<'_>) -> f64 {
    let timing = |process, (iteration, pass): (usize, &Pass)| Timing {
        round: process,
        process,
        batch: 4,
        iteration,
        nanoseconds: pass.nanoseconds,
        take: 0,
        input: pass.input,
        waited: pass.waited,
        disturbed: false,
    };
    let turns = [turn(wrap), turn(wrap)];
    let of = |(process, turn): (usize, &Timed)| {
        turn.passes.iter().enumerate().map(|pass| timing(process, pass)).collect::<Vec<_>>()
    };
    let timings: Vec<Timing> = turns.iter().enumerate().flat_map(of).collect();
    summary::fresh_over_repeated(&timings, 4).unwrap()
}

/// Above this answers are called kept (`diagnose::timing`).
const SUSPICIOUS: f64 = 3.0;

#[test]
fn answers_kept_by_content_are_found_whatever_else_runs() {
    let kept =
        fresh_over_repeated(&|network| Box::new(Memory { network, known: BTreeMap::new(), asked: Digest::of(b"") }));
    assert!(kept > SUSPICIOUS, "{kept}");
    let honest = fresh_over_repeated(&|network| network);
    assert!(honest < SUSPICIOUS, "{honest}");
}

#[test]
fn each_pass_computes_its_own_input() {
    let turn = turn(&|network| network);
    assert_eq!(turn.passes.iter().map(|pass| pass.input).collect::<Vec<_>>(), [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
    // One output for each input, and each another.
    let outputs: BTreeSet<Digest> = turn.outputs.iter().map(|computed| computed.output).collect();
    assert_eq!((turn.outputs.len(), outputs.len()), (5, 5), "{:?}", turn.outputs);
}
