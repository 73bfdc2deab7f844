//! The names of functions that have no attributes, in both directions.

use crate::graph::function::Unary;

const UNARY: [(&str, Unary); 25] = [
    ("Abs", Unary::Abs),
    ("Acos", Unary::Acos),
    ("Acosh", Unary::Acosh),
    ("Asin", Unary::Asin),
    ("Asinh", Unary::Asinh),
    ("Atan", Unary::Atan),
    ("Atanh", Unary::Atanh),
    ("Ceil", Unary::Ceil),
    ("Cos", Unary::Cos),
    ("Cosh", Unary::Cosh),
    ("Erf", Unary::Erf),
    ("Exp", Unary::Exp),
    ("Floor", Unary::Floor),
    ("Log", Unary::Log),
    ("Mish", Unary::Mish),
    ("Neg", Unary::Neg),
    ("Reciprocal", Unary::Reciprocal),
    ("Round", Unary::Round),
    ("Sign", Unary::Sign),
    ("Sin", Unary::Sin),
    ("Sinh", Unary::Sinh),
    ("Softplus", Unary::Softplus),
    ("Sqrt", Unary::Sqrt),
    ("Tan", Unary::Tan),
    ("Tanh", Unary::Tanh),
];

/// The function that an operator is.
pub(super) fn unary(operator: &str) -> Option<Unary> {
    UNARY.iter().find(|(name, _)| *name == operator).map(|(_, function)| *function)
}

/// The operator that a function is.
pub(super) fn operator(function: Unary) -> Option<&'static str> {
    UNARY.iter().find(|(_, own)| *own == function).map(|(name, _)| *name)
}
