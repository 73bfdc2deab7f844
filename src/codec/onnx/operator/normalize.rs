//! Normalizations, and softmax.

use std::sync::Arc;

use super::lowering::{Lowered, Lowering, Row, Trouble, reals};
use crate::codec::onnx::axes::axis_of;
use crate::codec::onnx::constant::kind;
use crate::codec::onnx::network::Operand;
use crate::codec::onnx::writer::{Writer, float, int, value};
use crate::graph::op::{BatchNorm, Normalize, Standardize, Together};
use crate::graph::{Dim, NodeId, Op, Shape};
use crate::tensor::Tensor;

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    reals("BatchNormalization", 7, |node| node.batch_norm()),
    reals("GroupNormalization", 18, |node| node.standardize_groups()),
    reals("InstanceNormalization", 7, |node| node.standardize_groups()),
    reals("LayerNormalization", 17, |node| node.standardize_last(|axis| Together::Layer { axis })),
    reals("LogSoftmax", 7, |node| node.softmax(|axis| Normalize::LogSoftmax { axis })),
    reals("RMSNormalization", 23, |node| node.standardize_last(|axis| Together::Rms { axis })),
    reals("Softmax", 7, |node| node.softmax(|axis| Normalize::Softmax { axis })),
];

impl Lowering<'_> {
    fn batch_norm(&mut self) -> Lowered {
        if !matches!(self.operand(0)?, Operand::Node(_)) {
            let reason = "it normalizes a weight each time the network runs (weight standardization)".to_owned();
            let next = "put the standardized weight into a plain convolution before exporting, once and for all";
            return Err(Trouble::Advised(reason, next));
        }
        // Before opset 9, 0 stands for statistics of each place.
        if self.import.opset < 9 && self.attributes.int("spatial")?.is_some_and(|spatial| spatial != 1) {
            return Err("it normalizes every place by itself, which is not supported".into());
        }
        self.attributes.without_effect(&["momentum"]);
        if self.attributes.flag("training_mode")? {
            return Err(Trouble::Advised("it is in training mode".into(), "call `model.eval()` before exporting"));
        }
        let norm = BatchNorm {
            gamma: self.tensor(1)?,
            beta: self.tensor(2)?,
            mean: self.tensor(3)?,
            variance: self.tensor(4)?,
            epsilon: self.attributes.float("epsilon", 1e-5)?,
        };
        let channels = norm.gamma.shape().to_vec();
        if channels.len() != 1 || [&norm.beta, &norm.mean, &norm.variance].iter().any(|t| t.shape() != channels) {
            return Err("its four parameters differ in shape".into());
        }
        self.unary(Op::Normalize(Normalize::Batch(norm)))
    }

    /// Layer and root-mean-square normalization: over all axes from one on.
    fn standardize_last(&mut self, together: fn(usize) -> Together) -> Lowered {
        let x = self.running(0)?;
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(-1), self.rank(x))?;
        if self.attributes.int("stash_type")?.is_some_and(|kind| kind != i64::from(kind::FLOAT)) {
            return Err("it computes its statistics in another type than 32-bit floats".into());
        }
        let sizes: Vec<usize> = self.import.graph.node(x).shape[axis..].iter().filter_map(Dim::known).collect();
        self.import.allow(sizes.iter().fold(2, |product, &size| product.saturating_mul(size)))?;
        let whole = |tensor: Arc<Tensor>| broadcast(&tensor, &sizes);
        // Only a normalization by mean and variance has a bias.
        let bias = if self.node.op_type == "LayerNormalization" { self.optional_tensor(2)?.map(whole) } else { None };
        let weight = Some(whole(self.tensor(1)?));
        let epsilon = self.attributes.float("epsilon", 1e-5)?;
        self.emit(
            Op::Normalize(Normalize::Standardize(Standardize { together: together(axis), weight, bias, epsilon })),
            vec![x],
        )
    }

    /// Normalization of each image's groups of channels. Before opset 21, weight and bias are one number per group.
    fn standardize_groups(&mut self) -> Lowered {
        let x = self.running(0)?;
        let channels = self.import.graph.node(x).shape.get(1).and_then(Dim::known).ok_or("it has no channels")?;
        let groups = if self.node.op_type == "InstanceNormalization" {
            channels
        } else {
            if self.attributes.int("stash_type")?.is_some_and(|kind| kind != i64::from(kind::FLOAT)) {
                return Err("it computes its statistics in another type than 32-bit floats".into());
            }
            self.attributes.int("num_groups")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(format!("{groups} groups do not divide {channels} channels").into());
        }
        let each = |tensor: Arc<Tensor>| match tensor.as_f32() {
            Some(values) if values.len() == groups && groups < channels => {
                let repeated = (0..channels).map(|channel| values[channel * groups / channels]).collect();
                Arc::new(Tensor::vector(repeated))
            }
            _ => tensor,
        };
        let (weight, bias) = (Some(each(self.tensor(1)?)), Some(each(self.tensor(2)?)));
        let epsilon = self.attributes.float("epsilon", 1e-5)?;
        self.emit(
            Op::Normalize(Normalize::Standardize(Standardize {
                together: Together::Groups(groups),
                weight,
                bias,
                epsilon,
            })),
            vec![x],
        )
    }

    fn softmax(&mut self, own: fn(usize) -> Normalize) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let default = if self.import.opset < 13 { 1 } else { -1 };
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(default), rank)?;
        if self.import.opset < 13 && axis + 1 != rank {
            return Err("before opset 13 it normalizes over several axes at once; export with opset 13 or later".into());
        }
        self.emit(Op::Normalize(own(axis)), vec![input])
    }
}

impl Writer<'_> {
    pub(super) fn normalize(&mut self, id: NodeId, own: &Normalize, inputs: Vec<String>) {
        match own {
            Normalize::Batch(own) => self.batch_norm(id, own, inputs),
            Normalize::Standardize(own) => self.standardize(id, own, inputs),
            Normalize::Softmax { axis } => self.last(id, "Softmax", inputs, vec![int("axis", *axis)]),
            Normalize::LogSoftmax { axis } => self.last(id, "LogSoftmax", inputs, vec![int("axis", *axis)]),
        }
    }

    fn batch_norm(&mut self, id: NodeId, norm: &BatchNorm, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let parts = [(&norm.gamma, "weight"), (&norm.beta, "bias"), (&norm.mean, "mean"), (&norm.variance, "variance")];
        inputs.extend(parts.map(|(tensor, part)| self.initializer(format!("{name}::{part}"), tensor)));
        self.last(id, "BatchNormalization", inputs, vec![float("epsilon", norm.epsilon)]);
    }

    fn standardize(&mut self, id: NodeId, own: &Standardize, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let shape = &self.graph.node(id).shape;
        let from = |axis: usize| shape[axis..].iter().filter_map(Dim::known).collect::<Vec<usize>>();
        let epsilon = float("epsilon", own.epsilon);
        let axis = |axis: usize| vec![int("axis", axis), epsilon.clone()];
        let (operator, attributes, wanted) = match own.together {
            Together::Layer { axis: first } => ("LayerNormalization", axis(first), from(first)),
            Together::Rms { axis: first } => ("RMSNormalization", axis(first), from(first)),
            Together::Groups(groups) if shape[1].known() == Some(groups) => {
                ("InstanceNormalization", vec![epsilon], vec![groups])
            }
            Together::Groups(groups) => {
                let channels = shape[1].known().unwrap_or(groups);
                ("GroupNormalization", vec![int("num_groups", groups), epsilon], vec![channels])
            }
        };
        // ONNX has neither without a weight, and images' statistics not without a bias.
        let all = |value: f32| Tensor::f32(wanted.clone(), vec![value; wanted.iter().product()]).ok();
        let weight = own.weight.as_deref().cloned().or_else(|| all(1.0));
        let bias = own.bias.as_deref().cloned().or_else(|| match own.together {
            Together::Groups(_) => all(0.0),
            Together::Layer { .. } | Together::Rms { .. } => None,
        });
        for (tensor, part) in [(weight, "weight"), (bias, "bias")] {
            inputs.extend(tensor.map(|tensor| self.initializer(format!("{name}::{part}"), &tensor)));
        }
        self.last(id, operator, inputs, attributes);
    }
}

/// The opset that an operator came with if that is above [`WRITTEN_OPSET`](crate::codec::onnx::WRITTEN_OPSET), else 0.
pub(super) fn since(own: &Normalize, shape: &Shape) -> i64 {
    match own {
        Normalize::Standardize(Standardize { together: Together::Rms { .. }, .. }) => 23,
        // One group for each channel is an instance normalization.
        Normalize::Standardize(Standardize { together: Together::Groups(groups), .. })
            if shape.get(1).and_then(Dim::known) != Some(*groups) =>
        {
            21
        }
        Normalize::Standardize(Standardize { together: Together::Layer { .. } | Together::Groups(_), .. })
        | Normalize::Batch(_)
        | Normalize::Softmax { .. }
        | Normalize::LogSoftmax { .. } => 0,
    }
}

/// A tensor repeated to a shape, where its own allows that; what does not fit stays and is refused with the shape.
fn broadcast(tensor: &Arc<Tensor>, sizes: &[usize]) -> Arc<Tensor> {
    let own = tensor.shape();
    let count: usize = sizes.iter().product();
    let (Some(values), Some(new)) = (tensor.as_f32(), sizes.len().checked_sub(own.len())) else {
        return Arc::clone(tensor);
    };
    let fits = own.iter().zip(&sizes[new..]).all(|(own, wanted)| *own == 1 || own == wanted);
    if own == sizes || !fits || values.is_empty() {
        return Arc::clone(tensor);
    }
    let place = |mut at: usize| {
        let (mut from, mut stride) = (0, 1);
        for axis in (0..sizes.len()).rev() {
            let (here, length) = (at % sizes[axis], axis.checked_sub(new).map_or(1, |axis| own[axis]));
            at /= sizes[axis];
            from += if length == 1 { 0 } else { here * stride };
            stride *= length;
        }
        from
    };
    let values = (0..count).map(|at| values[place(at)]).collect();
    Tensor::f32(sizes.to_vec(), values).map_or_else(|_| Arc::clone(tensor), Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_repeated_along_dimensions_of_length_one() {
        let scale = Arc::new(Tensor::f32(vec![2, 1], vec![1.0, 2.0]).unwrap());
        let whole = |sizes: &[usize]| broadcast(&scale, sizes).as_f32().unwrap().to_vec();
        assert_eq!(whole(&[2, 3]), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(whole(&[2, 2, 1]), [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(whole(&[3, 3]), [1.0, 2.0]);
    }
}
