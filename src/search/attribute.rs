//! Where the lost accuracy is: the quantized network with one thing changed at a time, on the samples that tell
//! it apart from the float one.

mod classes;
mod kinds;
mod log;
mod outputs;
mod sample;

use log::Log;
use sample::{Changes, Samples};

use crate::backend::{self, Request};
use crate::base::digest::Digest;
use crate::base::explain::Failure;
use crate::base::interrupt;
use crate::codec::Form;
use crate::graph::quantization::{FloatReason, Placement, Quantization};
use crate::graph::{Graph, NodeId, Op};
use crate::manifest::{Step, Variant};
use crate::quantize::Scheme;
use crate::quantize::calibrate::with_integer_weights;
use crate::quantize::observer::ObserverKind;
use crate::record::format::{Attribution, Change, Intervention};
use crate::task::classification::Answer;
use crate::task::fidelity::Closeness;
use crate::workbench::event::Event;
use crate::workbench::levels::spread;
use crate::workbench::{Attempt, Prepared, Surroundings, Workbench, open};

/// What is looked into: the variant in integers beside the baseline in float.
pub struct Case<'a> {
    /// How the network was quantized, and the file that came of it.
    pub(crate) attempt: &'a Attempt,
    pub artefact: Digest,
    pub judge: &'a Variant,
    pub loss: Loss<'a>,
}

/// What the network in integers answered to the evaluation samples, beside the one in float.
#[derive(Clone, Copy)]
pub enum Loss<'a> {
    Classes {
        float: &'a [Answer],
        int8: &'a [Answer],
    },
    /// By output.
    Outputs {
        closeness: &'a [Vec<Closeness>],
    },
}

/// Which change brings back how much; `None` where nothing was surely lost, or nothing was to be tried.
pub fn attribute(
    prepared: &Prepared,
    case: &Case<'_>,
    around: &Surroundings<'_>,
) -> Result<Option<Attribution>, Failure> {
    let manifest = prepared.manifest();
    let budget = if manifest.record.evidence { manifest.record.interventions } else { 0 };
    let Case { attempt, artefact, judge, loss } = *case;
    let Some(quantization) = attempt.quantization.as_ref().filter(|_| budget > 0) else { return Ok(None) };
    let Some(samples) = Samples::choose(prepared, loss, around)? else { return Ok(None) };
    // All that an outcome depends on.
    let backend::Runtime { libtorch, cpu_capability, .. } = backend::runtime();
    let library = backend::library_of(prepared.reference.backend).unwrap_or_default();
    let about = format!("{} {} {libtorch} {cpu_capability} {library}", artefact, samples.digest());
    let home = around.results.join(&manifest.name);
    let (gained, agreement) = samples.all();
    let all_in_float = Intervention { change: Change::Float, target: None, nodes: Vec::new(), gained, agreement };
    let mut bench = Workbench::new(prepared, around, true);
    bench.remember(attempt);
    let mut search = Search {
        bench,
        attempt,
        quantization,
        judge,
        samples,
        log: Log::open(&home, &Digest::of(about.as_bytes()))?,
        budget,
        left: budget,
        exhausted: false,
        tried: vec![all_in_float],
        around,
    };
    search.run()?;
    let Search { samples, log, tried, exhausted, .. } = search;
    log.done();
    Ok(Some(Attribution {
        variant: judge.name.clone(),
        samples: samples.count(),
        disagreeing: samples.disagreeing(),
        interventions: tried,
        exhausted,
    }))
}

struct Search<'a, 'b> {
    bench: Workbench<'b>,
    attempt: &'a Attempt,
    quantization: &'a Quantization,
    judge: &'a Variant,
    samples: Samples,
    log: Log,
    budget: usize,
    left: usize,
    /// Whether there was more to try.
    exhausted: bool,
    tried: Vec<Intervention>,
    around: &'a Surroundings<'a>,
}

impl Search<'_, '_> {
    /// Parts of the quantization first, then other choices, then each block, then the layers of the worst ones.
    fn run(&mut self) -> Result<(), Failure> {
        for change in [Change::FloatArithmetic, Change::FloatWeights, Change::FloatActivations] {
            self.part(change)?;
        }
        self.other_choices()?;
        let graph = &self.attempt.graph;
        let kinds = [
            (Change::OverflowInFloat, kinds::overflowing(graph, self.quantization)),
            (Change::GatesInFloat, kinds::gates(graph)),
            (Change::HardSwishInFloat, kinds::hard_swish(graph)),
        ];
        for (change, nodes) in kinds {
            if nodes.iter().any(|id| self.quantization.is_int8(*id)) {
                self.placed(change, None, &nodes)?;
            }
        }
        let blocks = units(graph, self.quantization, block_of);
        for (name, nodes) in &blocks {
            self.placed(Change::BlockInFloat, Some(name), nodes)?;
        }
        for (name, nodes) in &blocks {
            self.placed(Change::BlockAlone, Some(name), nodes)?;
        }
        let layers = units(graph, self.quantization, str::to_owned);
        for worst in self.worst_blocks() {
            for (name, nodes) in layers.iter().filter(|(name, _)| block_of(name) == worst) {
                self.placed(Change::LayerInFloat, Some(name), nodes)?;
            }
        }
        Ok(())
    }

    /// The network with a part of what quantization does to it.
    fn part(&mut self, change: Change) -> Result<(), Failure> {
        use Form::{Float, Rounded};
        let (attempt, quantization) = (self.attempt, self.quantization);
        self.once(change, None, |search| {
            let rounded = with_integer_weights(&attempt.graph, quantization);
            let (graph, form) = match change {
                Change::FloatWeights => (&attempt.reference, Rounded(quantization)),
                Change::FloatActivations => (&rounded, Float),
                _ => (&rounded, Rounded(quantization)),
            };
            search.samples.changes(&mut *open(search.bench.prepared().reference, graph, form)?)
        })
    }

    /// The network quantized anew with one choice changed.
    fn other_choices(&mut self) -> Result<(), Failure> {
        let scheme = &self.attempt.scheme.without_learning();
        let with = |step: Step| (!scheme.has(step)).then(|| scheme.toggled(step));
        let observer = |observer| (scheme.observer != observer).then(|| Scheme { observer, ..scheme.clone() });
        let per_channel = crate::manifest::Granularity::PerChannel;
        let choices = [
            (
                Change::PerChannel,
                (scheme.weights != per_channel).then(|| Scheme { weights: per_channel, ..scheme.clone() }),
            ),
            (Change::Equalize, with(Step::Equalize)),
            (Change::Percentile, observer(ObserverKind::Percentile)),
            (Change::Mse, observer(ObserverKind::Mse)),
            (Change::ProductsOnly, with(Step::ProductsOnly)),
            (Change::FloatStem, with(Step::FloatStem)),
            (Change::BoundWeights, with(Step::BoundWeights)),
            // Last: what was observed on the manifest's samples is forgotten for it.
            (Change::Calibration, Some(scheme.clone())),
        ];
        for (change, scheme) in choices {
            let Some(scheme) = scheme else { continue };
            self.once(change, None, |search| {
                let others = change == Change::Calibration;
                let evaluation = &search.bench.prepared().inputs.data.evaluation;
                search.bench.calibrate_on(others.then(|| spread(evaluation)));
                let attempt = search.bench.carry_out(&scheme)?;
                let Some(quantization) = &attempt.quantization else {
                    return Err(Failure::bug("nothing was quantized, and nothing can be tried"));
                };
                search.int8(&attempt.graph, quantization)
            })?;
        }
        Ok(())
    }

    /// The network with some nodes placed otherwise.
    fn placed(&mut self, change: Change, target: Option<&str>, nodes: &[NodeId]) -> Result<(), Failure> {
        let (graph, quantization) = (&self.attempt.graph, self.quantization);
        self.once(change, target, |search| {
            let mut changed = quantization.clone();
            for id in graph.ids().filter(|id| nodes.contains(id) != (change == Change::BlockAlone)) {
                if changed.is_int8(id) {
                    changed.placement[id.0] = Placement::Float(FloatReason::Recipe);
                }
            }
            search.int8(graph, &changed)
        })?;
        let own = |tried: &&mut Intervention| tried.change == change && tried.target.as_deref() == target;
        if let Some(tried) = self.tried.last_mut().filter(own) {
            tried.nodes = nodes.iter().map(|id| graph.node(*id).name.clone()).collect();
        }
        Ok(())
    }

    fn int8(&mut self, graph: &Graph, quantization: &Quantization) -> Result<Changes, Failure> {
        let mut session = open(Request::from(self.judge), graph, Form::Int8(quantization))?;
        self.samples.changes(&mut *session)
    }

    /// Tries a change unless the budget is spent or the log knows what came of it.
    fn once(
        &mut self,
        change: Change,
        target: Option<&str>,
        try_it: impl FnOnce(&mut Self) -> Result<Changes, Failure>,
    ) -> Result<(), Failure> {
        interrupt::check()?;
        if self.left == 0 {
            self.exhausted = true;
            return Ok(());
        }
        self.left -= 1;
        let changes = if let Some(known) = self.log.known(change, target) {
            known
        } else {
            let changes = try_it(self)?;
            self.log.keep(change, target, &changes)?;
            changes
        };
        let (gained, agreement) = self.samples.brought(&changes)?;
        self.tried.push(Intervention {
            change,
            target: target.map(str::to_owned),
            nodes: Vec::new(),
            gained,
            agreement,
        });
        self.around.events.emit(&Event::Progress {
            done: self.budget - self.left,
            total: self.budget,
            unit: "interventions",
        });
        Ok(())
    }

    /// The blocks whose return to float brings the network closest to the float one.
    fn worst_blocks(&self) -> Vec<String> {
        const WORST: usize = 2;
        let mut blocks: Vec<&Intervention> =
            self.tried.iter().filter(|tried| tried.change == Change::BlockInFloat).collect();
        blocks.sort_by(|a, b| b.agreement.value.total_cmp(&a.agreement.value));
        blocks.into_iter().take(WORST).filter_map(|block| block.target.clone()).collect()
    }
}

/// The nodes in integers by the name of what they belong to, in execution order. Operators without weights belong
/// to the layer before them, where their name says nothing else.
pub(crate) fn units(
    graph: &Graph,
    quantization: &Quantization,
    unit: fn(&str) -> String,
) -> Vec<(String, Vec<NodeId>)> {
    let mut found: Vec<(String, Vec<NodeId>)> = Vec::new();
    for (id, node) in graph.iter().filter(|(id, _)| quantization.is_int8(*id)) {
        let name = unit(&node.name);
        let owns_weights = matches!(node.op, Op::Layer(_));
        let place = found.iter().position(|(known, _)| *known == name);
        match place.or_else(|| found.len().checked_sub(1).filter(|_| !owns_weights)) {
            Some(place) => found[place].1.push(id),
            None => found.push((name, vec![id])),
        }
    }
    found
}

/// `features.4` of `features.4.block.0.0`; a name of one part is its own block.
pub(crate) fn block_of(name: &str) -> String {
    name.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_first_two_parts_of_a_name() {
        assert_eq!(block_of("features.4.block.0.0"), "features.4");
        assert_eq!(block_of("fc"), "fc");
    }
}
