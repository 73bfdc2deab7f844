//! Functions of real numbers: of each value, of several, over axes; and normalizations by the values at hand.

use std::sync::Arc;

use super::{Lowered, Lowering, Trouble, axes_of, axis_of};
use crate::codec::onnx::constant::kind;
use crate::codec::onnx::functions;
use crate::codec::onnx::import::Operand;
use crate::graph::function::{Binary, Reduction, Standardize, Together, Unary};
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::Tensor;

impl Lowering<'_> {
    /// An operator that is nothing but a function of each value.
    pub(super) fn function(&mut self) -> Lowered {
        let name = self.node.op_type.as_str();
        if let Some(plain) = functions::unary(name) {
            return self.unary(Op::Unary(plain));
        }
        let own = |attribute: &str, default: f32| self.attributes.float(attribute, default);
        let function = match name {
            "Elu" => Unary::Elu { alpha: own("alpha", 1.0)?, scale: 1.0 },
            "Selu" => Unary::Elu { alpha: own("alpha", 1.673_263_2)?, scale: own("gamma", 1.050_701)? },
            "Celu" if own("alpha", 1.0)? == 0.0 => return Err("it divides by `alpha`, which is 0".into()),
            "Celu" => Unary::Celu { alpha: own("alpha", 1.0)? },
            "LeakyRelu" => Unary::LeakyRelu { slope: own("alpha", 0.01)? },
            "ThresholdedRelu" => Unary::Threshold { limit: own("alpha", 1.0)? },
            "Gelu" => match self.attributes.text("approximate")?.as_deref() {
                None | Some("" | "none") => Unary::Gelu { tanh: false },
                Some("tanh") => Unary::Gelu { tanh: true },
                Some(other) => return Err(format!("`approximate = {other}` is not one of the standard's").into()),
            },
            _ => return Err(Trouble::Unsupported),
        };
        self.unary(Op::Unary(function))
    }

    /// A function of two tensors; the exponent of a power may be of another type than its base.
    pub(super) fn pair(&mut self, function: Binary) -> Lowered {
        let exponent = match (function, self.operand(1)?) {
            (Binary::Pow, Operand::Value(value)) => value.counted(),
            _ => None,
        };
        let base = self.running(0)?;
        let second = match exponent {
            Some(tensor) => self.constant(tensor)?,
            None => self.running(1)?,
        };
        self.emit(Op::Binary(function), vec![base, second])
    }

    /// A node for a tensor that is not in the file.
    fn constant(&mut self, tensor: Tensor) -> Result<NodeId, Trouble> {
        self.step(Op::Constant(Arc::new(tensor)), Vec::new())
    }

    fn number(&mut self, value: f32) -> Result<NodeId, Trouble> {
        self.constant(Tensor::f32(Vec::new(), vec![value]).map_err(|error| error.to_string())?)
    }

    /// One of several nodes that an operator becomes.
    pub(super) fn step(&mut self, op: Op, inputs: Vec<NodeId>) -> Result<NodeId, Trouble> {
        match self.emit(op, inputs)?.as_slice() {
            [Operand::Node(id)] => Ok(*id),
            _ => Err("it did not become one node".into()),
        }
    }

    /// A function of any number of tensors, two at a time.
    pub(super) fn several(&mut self, op: &Op) -> Result<NodeId, Trouble> {
        let inputs = (0..self.operands.len()).map(|i| self.running(i)).collect::<Result<Vec<_>, _>>()?;
        let (&first, rest) = inputs.split_first().ok_or("it has no input")?;
        if rest.is_empty() {
            return self.step(Op::Identity, vec![first]);
        }
        rest.iter().try_fold(first, |so_far, &next| self.step(op.clone(), vec![so_far, next]))
    }

    pub(super) fn chain(&mut self, op: &Op) -> Lowered {
        Ok(vec![Operand::Node(self.several(op)?)])
    }

    pub(super) fn mean(&mut self) -> Lowered {
        let sum = self.several(&Op::Add { relu: false })?;
        let count = self.number(self.operands.len() as f32)?;
        self.emit(Op::Binary(Binary::Div), vec![sum, count])
    }

    /// Below 0 a slope of each channel's own.
    pub(super) fn prelu(&mut self) -> Lowered {
        let (x, slope, zero) = (self.running(0)?, self.running(1)?, self.number(0.0)?);
        let above = self.step(Op::Relu, vec![x])?;
        let below = self.step(Op::Binary(Binary::Minimum), vec![x, zero])?;
        let sloped = self.step(Op::Mul { relu: false }, vec![below, slope])?;
        self.emit(Op::Add { relu: false }, vec![above, sloped])
    }

    /// `x / (1 + |x|)`.
    pub(super) fn softsign(&mut self) -> Lowered {
        let (x, one) = (self.running(0)?, self.number(1.0)?);
        let size = self.step(Op::Unary(Unary::Abs), vec![x])?;
        let below = self.step(Op::Add { relu: false }, vec![size, one])?;
        self.emit(Op::Binary(Binary::Div), vec![x, below])
    }

    /// `alpha · x + beta` between 0 and 1, where that is not PyTorch's.
    pub(super) fn other_hard_sigmoid(&mut self, alpha: f32, beta: f32) -> Lowered {
        let (x, alpha, beta) = (self.running(0)?, self.number(alpha)?, self.number(beta)?);
        let scaled = self.step(Op::Mul { relu: false }, vec![x, alpha])?;
        let moved = self.step(Op::Add { relu: false }, vec![scaled, beta])?;
        self.emit(Op::Clip { min: 0.0, max: 1.0 }, vec![moved])
    }

    /// The axes that a reduction names, all of them where it names none; `None` where it is to do nothing. They became
    /// an input of `ReduceSum` with opset 13, and of the others with 18.
    pub(super) fn axes(&self, input: NodeId) -> Result<Option<Vec<usize>>, Trouble> {
        let rank = self.rank(input);
        let since = if self.node.op_type == "ReduceSum" { 13 } else { 18 };
        let raw = self.numbers_from("axes", 1, since)?.unwrap_or_default();
        let nothing = self.import.opset >= since && self.attributes.flag("noop_with_empty_axes")?;
        let mut axes = axes_of(&raw, rank)?;
        if axes.is_empty() {
            if nothing {
                return Ok(None);
            }
            axes = (0..rank).collect();
        }
        axes.sort_unstable();
        axes.dedup();
        Ok(Some(axes))
    }

    pub(super) fn keeps(&self) -> Result<bool, Trouble> {
        Ok(self.attributes.int("keepdims")?.unwrap_or(1) != 0)
    }

    /// A reduction by its name.
    pub(super) fn reduction(&mut self) -> Lowered {
        match self.node.op_type.as_str() {
            "ReduceSum" => self.reduce(None, Reduction::Sum, None),
            "ReduceMax" => self.reduce(None, Reduction::Max, None),
            "ReduceMin" => self.reduce(None, Reduction::Min, None),
            "ReduceProd" => self.reduce(None, Reduction::Prod, None),
            "ReduceL1" => self.reduce(Some(Unary::Abs), Reduction::Sum, None),
            "ReduceL2" => self.reduce(Some(Unary::Square), Reduction::Sum, Some(Unary::Sqrt)),
            "ReduceSumSquare" => self.reduce(Some(Unary::Square), Reduction::Sum, None),
            "ReduceLogSum" => self.reduce(None, Reduction::Sum, Some(Unary::Log)),
            "ReduceLogSumExp" => self.reduce(None, Reduction::LogSumExp, None),
            _ => Err(Trouble::Unsupported),
        }
    }

    /// A reduction of what a function makes of each value, and a function of what comes of it.
    pub(super) fn reduce(&mut self, before: Option<Unary>, how: Reduction, after: Option<Unary>) -> Lowered {
        let mut x = self.running(0)?;
        let axes = self.axes(x)?;
        if let Some(before) = before {
            x = self.step(Op::Unary(before), vec![x])?;
        }
        let keep = self.keeps()?;
        if let Some(axes) = axes {
            x = self.step(Op::Reduce { how, axes, keep }, vec![x])?;
        }
        match after {
            Some(after) => self.emit(Op::Unary(after), vec![x]),
            None => self.emit(Op::Identity, vec![x]),
        }
    }

    /// A maximum or mean over everything but images and channels.
    pub(super) fn global(&mut self, how: Reduction) -> Lowered {
        let x = self.running(0)?;
        if self.rank(x) < 3 {
            return Err("its input has no more than images and channels".into());
        }
        let axes = (2..self.rank(x)).collect();
        self.emit(Op::Reduce { how, axes, keep: true }, vec![x])
    }

    /// Layer and root-mean-square normalization: over all axes from one on.
    pub(super) fn standardize_last(&mut self, together: fn(usize) -> Together) -> Lowered {
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
        self.emit(Op::Standardize(Standardize { together: together(axis), weight, bias, epsilon }), vec![x])
    }

    /// Normalization of each image's groups of channels. Before opset 21, weight and bias are one number per group.
    pub(super) fn standardize_groups(&mut self) -> Lowered {
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
        self.emit(Op::Standardize(Standardize { together: Together::Groups(groups), weight, bias, epsilon }), vec![x])
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
