//! The operators of the graph, with their weights and attributes, in families.
//!
//! A family is one file: its operators, and for each the [`Facts`] that the rest of the program asks for, its output
//! shape and its tensors.

mod binary;
mod facts;
mod layer;
mod layout;
mod normalize;
mod pool;
mod unary;

use std::sync::Arc;

pub use binary::Binary;
pub use facts::{Arity, Channels, Facts, Form, Integers, Score};
pub use layer::{ConvGeometry, Layer, Weights};
pub use layout::Layout;
pub use normalize::{BatchNorm, Normalize, Standardize, Together};
pub use pool::{Pool, PoolGeometry, Reduction};
pub use unary::Unary;

use super::shape::{Dim, Shape, ShapeError};
use crate::tensor::Tensor;

/// An operator. `relu` marks a rectifier fused into the operator's own output.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The images that the network is given.
    Input,
    Constant(Arc<Tensor>),
    Layer(Layer),
    Normalize(Normalize),
    Unary(Unary),
    Binary(Binary),
    Pool(Pool),
    Layout(Layout),
}

impl Op {
    #[must_use]
    pub fn facts(&self) -> Facts {
        const HELD: Facts =
            Facts { form: Form::Neither, arity: Arity::Exactly(0), ..Facts::function("").on(Integers::NotComputed) };
        match self {
            Self::Input => Facts { name: "Input", ..HELD },
            Self::Constant(_) => Facts { name: "Constant", ..HELD },
            Self::Layer(layer) => layer.facts(),
            Self::Normalize(normalize) => normalize.facts(),
            Self::Unary(function) => function.facts(),
            Self::Binary(function) => function.facts(),
            Self::Pool(pool) => pool.facts(),
            Self::Layout(layout) => layout.facts(),
        }
    }

    /// The output shape.
    pub fn shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let Facts { name, arity, .. } = self.facts();
        let wanted = match arity {
            Arity::Exactly(wanted) => wanted,
            Arity::AtLeastOne => inputs.len().max(1),
        };
        if wanted != inputs.len() {
            return Err(ShapeError::Arity { op: name, wanted, found: inputs.len() });
        }
        match self {
            Self::Input => Ok(Shape::new()),
            Self::Constant(tensor) => Ok(tensor.shape().iter().map(|&size| Dim::Known(size)).collect()),
            Self::Layer(layer) => layer.shape(inputs[0]),
            Self::Normalize(normalize) => normalize.shape(inputs[0]),
            Self::Unary(_) => Ok(inputs[0].clone()),
            Self::Binary(function) => function.shape(inputs[0], inputs[1]),
            Self::Pool(pool) => pool.shape(inputs[0]),
            Self::Layout(layout) => layout.shape(inputs),
        }
    }

    /// The operator in PyTorch's words, as module listings print it.
    #[must_use]
    pub fn torch_name(&self) -> &'static str {
        self.facts().name
    }

    /// Whether PyTorch counts it as a module (`nn.Module`) rather than a function call.
    #[must_use]
    pub fn is_module(&self) -> bool {
        self.facts().form == Form::Module
    }

    #[must_use]
    pub const fn weights(&self) -> Option<&Weights> {
        if let Self::Layer(layer) = self { Some(layer.weights()) } else { None }
    }

    /// Whether a rectifier is fused into its output; `None` where it has no room for one.
    pub const fn relu_mut(&mut self) -> Option<&mut bool> {
        match self {
            Self::Layer(layer) => Some(layer.relu_mut()),
            Self::Binary(function) => function.relu_mut(),
            Self::Input | Self::Constant(_) | Self::Normalize(_) | Self::Unary(_) | Self::Pool(_) | Self::Layout(_) => {
                None
            }
        }
    }

    /// The tensors that belong to the operator, and what each is.
    #[must_use]
    pub fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Constant(tensor) => vec![("constant", &**tensor)],
            Self::Layer(layer) => layer.tensors(),
            Self::Normalize(normalize) => normalize.tensors(),
            Self::Input | Self::Unary(_) | Self::Binary(_) | Self::Pool(_) | Self::Layout(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_hands_out_every_tensor_that_it_has() {
        let tensor = || Arc::new(Tensor::f32(vec![1], vec![1.0]).unwrap());
        let names = |op: &Op| op.tensors().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let weights = Weights { weight: tensor(), bias: Some(tensor()) };
        assert_eq!(names(&Op::Layer(Layer::Linear { weights, relu: false })), ["weight", "bias"]);
        let together = Together::Groups(1);
        let own = Standardize { together, weight: Some(tensor()), bias: Some(tensor()), epsilon: 0.0 };
        assert_eq!(names(&Op::Normalize(Normalize::Standardize(own))), ["weight", "bias"]);
        assert_eq!(names(&Op::Constant(tensor())), ["constant"]);
        assert_eq!(names(&Op::Unary(Unary::Relu)), [""; 0]);
    }
}
