//! What is folded while a file is read, against ONNX's reference evaluator on random graphs
//! (`tests/fixtures/integers.py`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};

use requant::base::files;
use requant::codec::onnx::{self, ImportError, Takes};
use requant::graph::{Graph, Op};
use serde::Deserialize;
use zip::ZipArchive;

/// What the reference evaluator computes of one graph.
#[derive(Deserialize)]
struct Answer {
    operators: Vec<String>,
    opset: i64,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The constant that the mean of the input is multiplied with.
fn folded(graph: &Graph) -> Option<(&[usize], &[f32])> {
    let constants = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Constant(tensor) => Some((tensor.shape(), tensor.as_f32()?)),
        _ => None,
    });
    let constants: Vec<_> = constants.collect();
    if let [only] = constants.as_slice() { Some(*only) } else { None }
}

#[test]
fn constants_are_folded_as_the_reference_evaluator_folds_them() {
    let bytes = files::read(&lab::root().join("tests/fixtures/integers.zip")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut member = |name: &str| {
        let mut content = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut content).unwrap();
        content
    };
    let answers: Vec<Answer> = serde_json::from_slice(&member("answers.json")).unwrap();
    let (mut equal, mut wrong, mut refused) = (0, Vec::new(), BTreeMap::<String, usize>::new());
    let mut seen = BTreeSet::new();
    for (number, answer) in answers.iter().enumerate() {
        let told = format!("graph {number}, opset {}, {:?}", answer.opset, answer.operators);
        match onnx::read_function(&member(&format!("{number}.onnx")), BTreeMap::new(), 0) {
            Ok(model) => {
                let wanted = &answer.values;
                if folded(&model.graph) == Some((&answer.shape, wanted)) {
                    equal += 1;
                    seen.extend(answer.operators.iter().cloned());
                } else {
                    wrong.push(format!("{told}: {:?} for {wanted:?}", folded(&model.graph)));
                }
            }
            Err(ImportError::Form { operator, reason, .. }) => {
                *refused.entry(format!("{operator}: {reason}")).or_default() += 1;
            }
            Err(other) => wrong.push(format!("{told}: {other}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    // What leaves a type's range wraps around in the reference evaluator and is refused here.
    assert!(equal * 100 >= answers.len() * 95, "{equal} of {}: {refused:#?}", answers.len());
    let constant = |operator: &&onnx::Operator| operator.takes == Takes::Constants && operator.name != "Constant";
    let operators = onnx::operators();
    let unseen = operators.iter().filter(constant).find(|operator| !seen.contains(operator.name));
    assert_eq!(unseen, None, "no graph with it was equal");
}
