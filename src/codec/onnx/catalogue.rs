//! The operators that are read. What is not listed here is refused, whatever else knows its name.

/// An operator of the domain `ai.onnx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    pub name: &'static str,
    /// The opset it came with, or the oldest that is read.
    pub since: i64,
    pub takes: Takes,
}

/// What becomes of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// It has an INT8 form, or a part of it has: it computes in integers, or moves them.
    Integers,
    /// It stays in float in a quantized network.
    Reals,
    /// It is computed while the file is read.
    Constants,
}

const fn operator(name: &'static str, since: i64, takes: Takes) -> Operator {
    Operator { name, since, takes }
}

/// In alphabetical order.
pub const OPERATORS: [Operator; 107] = {
    use Takes::{Constants, Integers, Reals};
    [
        operator("Abs", 7, Reals),
        operator("Acos", 7, Reals),
        operator("Acosh", 9, Reals),
        operator("Add", 7, Integers),
        operator("And", 7, Constants),
        operator("Asin", 7, Reals),
        operator("Asinh", 9, Reals),
        operator("Atan", 7, Reals),
        operator("Atanh", 9, Reals),
        operator("AveragePool", 7, Integers),
        operator("BatchNormalization", 7, Reals),
        operator("Cast", 7, Integers),
        operator("CastLike", 15, Integers),
        operator("Ceil", 7, Reals),
        operator("Celu", 12, Reals),
        operator("Clip", 7, Integers),
        operator("Concat", 7, Integers),
        operator("Constant", 7, Constants),
        operator("ConstantOfShape", 9, Constants),
        operator("Conv", 7, Integers),
        operator("Cos", 7, Reals),
        operator("Cosh", 9, Reals),
        operator("DepthToSpace", 7, Integers),
        operator("DequantizeLinear", 10, Integers),
        operator("Div", 7, Reals),
        operator("Dropout", 7, Integers),
        operator("Elu", 7, Reals),
        operator("Equal", 7, Constants),
        operator("Erf", 9, Reals),
        operator("Exp", 7, Reals),
        operator("Expand", 8, Reals),
        operator("Flatten", 7, Integers),
        operator("Floor", 7, Reals),
        operator("Gather", 7, Integers),
        operator("Gelu", 20, Reals),
        operator("Gemm", 7, Integers),
        operator("GlobalAveragePool", 7, Integers),
        operator("GlobalMaxPool", 7, Reals),
        operator("Greater", 7, Constants),
        operator("GreaterOrEqual", 12, Constants),
        operator("GroupNormalization", 18, Reals),
        operator("HardSigmoid", 7, Integers),
        operator("HardSwish", 14, Integers),
        operator("Identity", 7, Integers),
        operator("InstanceNormalization", 7, Reals),
        operator("LayerNormalization", 17, Reals),
        operator("LeakyRelu", 7, Reals),
        operator("Less", 7, Constants),
        operator("LessOrEqual", 12, Constants),
        operator("Log", 7, Reals),
        operator("LogSoftmax", 7, Reals),
        operator("MatMul", 7, Integers),
        operator("Max", 7, Reals),
        operator("MaxPool", 7, Integers),
        operator("Mean", 7, Integers),
        operator("Min", 7, Reals),
        operator("Mish", 18, Reals),
        operator("Mod", 10, Constants),
        operator("Mul", 7, Integers),
        operator("Neg", 7, Reals),
        operator("Not", 7, Constants),
        operator("Or", 7, Constants),
        operator("PRelu", 7, Integers),
        operator("Pad", 7, Reals),
        operator("Pow", 7, Reals),
        operator("QuantizeLinear", 10, Integers),
        operator("RMSNormalization", 23, Reals),
        operator("Range", 11, Constants),
        operator("Reciprocal", 7, Reals),
        operator("ReduceL1", 7, Reals),
        operator("ReduceL2", 7, Reals),
        operator("ReduceLogSum", 7, Reals),
        operator("ReduceLogSumExp", 7, Reals),
        operator("ReduceMax", 7, Reals),
        operator("ReduceMean", 7, Integers),
        operator("ReduceMin", 7, Reals),
        operator("ReduceProd", 7, Reals),
        operator("ReduceSum", 7, Reals),
        operator("ReduceSumSquare", 7, Reals),
        operator("Relu", 7, Integers),
        operator("Reshape", 7, Integers),
        operator("Round", 11, Reals),
        operator("Selu", 7, Reals),
        operator("Shape", 7, Constants),
        operator("Sigmoid", 7, Integers),
        operator("Sign", 9, Reals),
        operator("Sin", 7, Reals),
        operator("Sinh", 9, Reals),
        operator("Size", 7, Constants),
        operator("Slice", 7, Integers),
        operator("Softmax", 7, Reals),
        operator("Softplus", 7, Reals),
        operator("Softsign", 7, Reals),
        operator("SpaceToDepth", 7, Integers),
        operator("Split", 7, Integers),
        operator("Sqrt", 7, Reals),
        operator("Squeeze", 7, Integers),
        operator("Sub", 7, Reals),
        operator("Sum", 7, Integers),
        operator("Tan", 7, Reals),
        operator("Tanh", 7, Reals),
        operator("ThresholdedRelu", 10, Reals),
        operator("Tile", 7, Integers),
        operator("Transpose", 7, Integers),
        operator("Unsqueeze", 7, Integers),
        operator("Where", 9, Constants),
        operator("Xor", 7, Constants),
    ]
};

/// Whether it is computed while the file is read, and only then.
pub(super) fn is_constant(name: &str) -> bool {
    OPERATORS.iter().any(|operator| operator.name == name && operator.takes == Takes::Constants)
}

/// Whether a file of this opset may hold it.
pub(super) fn reads(name: &str, opset: i64) -> bool {
    OPERATORS.iter().any(|operator| operator.name == name && operator.since <= opset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::onnx::ImportError;
    use crate::codec::onnx::OPSETS;
    use crate::codec::onnx::import::tests::one_node;

    #[test]
    fn every_listed_operator_is_known_and_the_list_is_in_order() {
        assert!(OPERATORS.is_sorted_by(|a, b| a.name < b.name));
        for operator in OPERATORS {
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
