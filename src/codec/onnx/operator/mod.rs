//! Operators in ONNX's words, one file for each family of the graph's: how a node of a file is read, and how a node of
//! the graph is written. `quantized` reads what a file says of integers, which is no node of the graph.

mod binary;
mod layer;
mod layout;
mod lowering;
mod normalize;
mod pool;
mod quantized;
mod unary;

use std::cell::Cell;

use self::lowering::{Lowering, Row, Trouble};
use super::attributes::Attributes;
use super::catalogue::Operator;
use super::error::ImportError;
use super::evaluate::{self, unread_operand};
use super::network::{Import, Operand, label};
use super::proto::NodeProto;
use super::writer::Writer;
use crate::graph::{Graph, NodeId, Op};

/// Every operator that becomes nodes of the graph.
const FAMILIES: [&[Row]; 7] =
    [layer::ROWS, normalize::ROWS, unary::ROWS, binary::ROWS, pool::ROWS, layout::ROWS, quantized::ROWS];

/// The operators that are read, in alphabetical order. What is not among them is refused.
#[must_use]
pub fn operators() -> Vec<Operator> {
    let rows = FAMILIES.into_iter().flatten().map(|row| row.operator);
    let mut all: Vec<Operator> = rows.chain(evaluate::OPERATORS).collect();
    all.sort_unstable_by_key(|operator| operator.name);
    all
}

/// Whether a file of this opset may hold it.
pub(super) fn reads(name: &str, opset: i64) -> bool {
    operators().iter().any(|operator| operator.name == name && operator.since <= opset)
}

/// Lowers one ONNX node into graph nodes; the result has one operand per output it fills.
pub(super) fn lower(
    import: &mut Import,
    node: &NodeProto,
    operands: &[Option<Operand>],
) -> Result<Vec<Operand>, ImportError> {
    let opset = import.opset;
    let form = |reason| advised(node, opset, reason, None);
    let attributes = Attributes::of(node).map_err(form)?;
    let mut lowering = Lowering { import, node, operands, attributes, read: Cell::new(0) };
    let row = FAMILIES.into_iter().flatten().find(|row| row.operator.name == node.op_type);
    let read = match row {
        Some(row) => (row.read)(&mut lowering),
        None if evaluate::OPERATORS.iter().any(|operator| operator.name == node.op_type) => {
            let runs = operands.iter().flatten().any(|operand| matches!(operand, Operand::Node(_)));
            Err(if runs {
                "it must be computed from shapes and constants, and something here depends on the image".into()
            } else {
                "with constant inputs, it is computed only for small integer tensors".into()
            })
        }
        None => Err(Trouble::Unsupported),
    };
    let lowered = read.map_err(|trouble| match trouble {
        Trouble::Import(error) => error,
        Trouble::Form(reason) => form(reason),
        Trouble::Advised(reason, next) => advised(node, opset, reason, Some(next)),
        Trouble::Unsupported => ImportError::Unsupported { node: label(node), operator: node.op_type.clone(), opset },
    })?;
    // Nothing that the node says may be left unread.
    lowering.attributes.all_read().and_then(|()| unread_operand(operands, lowering.read.get())).map_err(form)?;
    Ok(lowered)
}

fn advised(node: &NodeProto, opset: i64, reason: String, next: Option<&'static str>) -> ImportError {
    ImportError::Form { node: label(node), operator: node.op_type.clone(), opset, reason, next }
}

/// Writes the node that computes `op`, given these tensors.
pub(super) fn write(writer: &mut Writer<'_>, id: NodeId, op: &Op, inputs: Vec<String>) {
    match op {
        // They have no inputs; what they hold is written where it is declared.
        Op::Input | Op::Constant(_) => {}
        Op::Layer(own) => writer.layer(id, own, inputs),
        Op::Normalize(own) => writer.normalize(id, own, inputs),
        Op::Unary(own) => writer.unary(id, *own, inputs),
        Op::Binary(own) => writer.binary(id, *own, inputs),
        Op::Pool(own) => writer.pool(id, own, inputs),
        Op::Layout(own) => writer.layout(id, own, inputs),
    }
}

/// The lowest opset that has every operator of a graph; 0 if the one that is written anyway has them.
pub(super) fn newest(graph: &Graph) -> i64 {
    let needed = graph.nodes.iter().map(|node| match &node.op {
        Op::Normalize(own) => normalize::since(own, &node.shape),
        Op::Unary(own) => unary::since(*own),
        Op::Input | Op::Constant(_) | Op::Layer(_) | Op::Binary(_) | Op::Pool(_) | Op::Layout(_) => 0,
    });
    needed.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::onnx::OPSETS;
    use crate::codec::onnx::import::tests::one_node;

    #[test]
    fn every_listed_operator_is_known_and_listed_once() {
        assert!(operators().is_sorted_by(|a, b| a.name < b.name));
        for operator in operators() {
            let refused = one_node(operator.name, *OPSETS.end());
            assert!(!matches!(refused, Err(ImportError::Unsupported { .. })), "{}", operator.name);
            let early = one_node(operator.name, operator.since - 1);
            assert!(
                matches!(early, Err(ImportError::Unsupported { .. } | ImportError::Opset { .. })),
                "{}",
                operator.name
            );
        }
        assert!(matches!(one_node("Einsum", 17), Err(ImportError::Unsupported { .. })));
    }
}
