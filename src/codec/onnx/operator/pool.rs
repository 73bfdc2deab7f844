//! Windows over an image, means over all of it, and reductions along axes.

use std::sync::Arc;

use super::lowering::{Lowered, Lowering, Row, Trouble, integers, reals};
use crate::codec::onnx::attributes::Window;
use crate::codec::onnx::axes::axes_of;
use crate::codec::onnx::proto::AttributeProto;
use crate::codec::onnx::writer::{LISTED_AXES, Writer, int, ints, value};
use crate::graph::op::{Binary, Layout, Pool, PoolGeometry, Reduction, Unary};
use crate::graph::{Dim, NodeId, Op};
use crate::tensor::Tensor;

/// Of a window over an image; more are no network's.
const MOST_PLACES: usize = 1 << 22;

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    integers("AveragePool", 7, |node| node.average_pool()),
    integers("GlobalAveragePool", 7, |node| node.global_average()),
    reals("GlobalMaxPool", 7, |node| node.global(Reduction::Max)),
    integers("MaxPool", 7, |node| node.max_pool()),
    reals("ReduceL1", 7, |node| node.reduce(Some(Unary::Abs), Reduction::Sum, None)),
    reals("ReduceL2", 7, |node| node.reduce(Some(Unary::Square), Reduction::Sum, Some(Unary::Sqrt))),
    reals("ReduceLogSum", 7, |node| node.reduce(None, Reduction::Sum, Some(Unary::Log))),
    reals("ReduceLogSumExp", 7, |node| node.reduce(None, Reduction::LogSumExp, None)),
    reals("ReduceMax", 7, |node| node.reduce(None, Reduction::Max, None)),
    integers("ReduceMean", 7, |node| node.reduce_mean()),
    reals("ReduceMin", 7, |node| node.reduce(None, Reduction::Min, None)),
    reals("ReduceProd", 7, |node| node.reduce(None, Reduction::Prod, None)),
    reals("ReduceSum", 7, |node| node.reduce(None, Reduction::Sum, None)),
    reals("ReduceSumSquare", 7, |node| node.reduce(Some(Unary::Square), Reduction::Sum, None)),
];

impl Lowering<'_> {
    /// The window over `input`, and its padding as `[left, right, top, bottom]`.
    fn pool_geometry(&self, input: NodeId) -> Result<(PoolGeometry, [usize; 4]), Trouble> {
        let window = Window {
            kernel: self.attributes.pair("kernel_shape", [0, 0])?,
            stride: self.attributes.pair("strides", [1, 1])?,
            dilation: self.attributes.pair("dilations", [1, 1])?,
        };
        let amounts @ [left, _, top, _] = self.attributes.padding(self.image_size(input)?, &window)?;
        let Window { kernel, stride, dilation } = window;
        let ceil_mode = self.attributes.flag("ceil_mode")?;
        Ok((PoolGeometry { kernel, stride, padding: [top, left], dilation, ceil_mode }, amounts))
    }

    fn max_pool(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        // It orders the places of the maxima, which nobody may read.
        self.attributes.without_effect(&["storage_order"]);
        let (mut geometry, amounts) = self.pool_geometry(input)?;
        if !is_pytorchs(&geometry, amounts) {
            input = self.explicit_pad(input, amounts, f32::NEG_INFINITY)?;
            geometry.padding = [0, 0];
        }
        self.emit(Op::Pool(Pool::Max(geometry)), vec![input])
    }

    fn average_pool(&mut self) -> Lowered {
        let input = self.running(0)?;
        let (geometry, amounts) = self.pool_geometry(input)?;
        let count_include_pad = self.attributes.flag("count_include_pad")?;
        if geometry.dilation != [1, 1] {
            return Err("a dilated average is not supported".into());
        }
        if is_pytorchs(&geometry, amounts) {
            return self.emit(Op::Pool(Pool::Average { geometry, count_include_pad }), vec![input]);
        }
        let size = self.image_size(input)?;
        let padded = self.explicit_pad(input, amounts, 0.0)?;
        let pool =
            Op::Pool(Pool::Average { geometry: PoolGeometry { padding: [0, 0], ..geometry }, count_include_pad: true });
        if count_include_pad {
            return self.emit(pool, vec![padded]);
        }
        if geometry.ceil_mode {
            return Err("uneven padding that is not counted is not supported with ceil_mode".into());
        }
        let mean = self.step(pool, vec![padded])?;
        let shares = self.counted_shares(&geometry, amounts, size)?;
        self.emit(Op::Binary(Binary::Mul { relu: false }), vec![mean, shares])
    }

    /// What a mean over whole windows is multiplied by so that only what lies in the image counts.
    fn counted_shares(
        &mut self,
        geometry: &PoolGeometry,
        [left, right, top, bottom]: [usize; 4],
        [height, width]: [usize; 2],
    ) -> Result<NodeId, Trouble> {
        let shares = |axis: usize, before: usize, size: usize, after: usize| -> Vec<f32> {
            let (kernel, stride) = (geometry.kernel[axis], geometry.stride[axis].max(1));
            let starts = (0..=(before + size + after).saturating_sub(kernel)).step_by(stride);
            let inside = |start: usize| (start + kernel).min(before + size).saturating_sub(start.max(before));
            starts.map(|start| kernel as f32 / inside(start).max(1) as f32).collect()
        };
        let (rows, columns) = (shares(0, top, height, bottom), shares(1, left, width, right));
        if rows.len().saturating_mul(columns.len()) > MOST_PLACES {
            return Err("uneven padding that is not counted is not supported on images of this size".into());
        }
        self.import.allow(rows.len() * columns.len())?;
        let values = rows.iter().flat_map(|row| columns.iter().map(move |column| row * column)).collect();
        let shape = vec![1, 1, rows.len(), columns.len()];
        let shares = Tensor::f32(shape, values).map_err(|error| error.to_string())?;
        self.step(Op::Constant(Arc::new(shares)), Vec::new())
    }

    fn reduce_mean(&mut self) -> Lowered {
        let input = self.running(0)?;
        if self.rank(input) == 4 && self.axes(input)?.is_some_and(|axes| axes == [2, 3]) {
            return self.emit(
                if self.keeps()? { Op::Pool(Pool::GlobalAverage) } else { Op::Pool(Pool::SpatialMean) },
                vec![input],
            );
        }
        self.reduce(None, Reduction::Mean, None)
    }

    fn global_average(&mut self) -> Lowered {
        let input = self.running(0)?;
        if self.rank(input) == 4 { self.unary(Op::Pool(Pool::GlobalAverage)) } else { self.global(Reduction::Mean) }
    }

    /// The axes that a reduction names, all of them where it names none; `None` where it is to do nothing. They became
    /// an input of `ReduceSum` with opset 13, and of the others with 18.
    fn axes(&self, input: NodeId) -> Result<Option<Vec<usize>>, Trouble> {
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

    fn keeps(&self) -> Result<bool, Trouble> {
        Ok(self.attributes.int("keepdims")?.unwrap_or(1) != 0)
    }

    /// A reduction of what a function makes of each value, and a function of what comes of it.
    fn reduce(&mut self, before: Option<Unary>, how: Reduction, after: Option<Unary>) -> Lowered {
        let mut x = self.running(0)?;
        let axes = self.axes(x)?;
        if let Some(before) = before {
            x = self.step(Op::Unary(before), vec![x])?;
        }
        let keep = self.keeps()?;
        if let Some(axes) = axes {
            x = self.step(Op::Pool(Pool::Reduce { how, axes, keep }), vec![x])?;
        }
        match after {
            Some(after) => self.emit(Op::Unary(after), vec![x]),
            None => self.emit(Op::Layout(Layout::Identity), vec![x]),
        }
    }

    /// A maximum or mean over everything but images and channels.
    fn global(&mut self, how: Reduction) -> Lowered {
        let x = self.running(0)?;
        if self.rank(x) < 3 {
            return Err("its input has no more than images and channels".into());
        }
        let axes = (2..self.rank(x)).collect();
        self.emit(Op::Pool(Pool::Reduce { how, axes, keep: true }), vec![x])
    }
}

impl Writer<'_> {
    pub(super) fn pool(&mut self, id: NodeId, own: &Pool, inputs: Vec<String>) {
        match own {
            Pool::GlobalAverage => self.last(id, "GlobalAveragePool", inputs, Vec::new()),
            Pool::SpatialMean => self.reduce(id, Reduction::Mean, &[2, 3], false, inputs),
            Pool::Average { geometry, count_include_pad } => {
                // Without padding there is nothing to count but, for some engines, what a last window lacks.
                let lacking = geometry.ceil_mode && geometry.padding == [0, 0];
                let counted = int("count_include_pad", usize::from(*count_include_pad && !lacking));
                let attributes = window(geometry, geometry.padding, geometry.ceil_mode).into_iter().chain([counted]);
                self.last(id, "AveragePool", inputs, attributes.collect());
            }
            Pool::Max(geometry) => {
                // Engines differ in what a window beyond the padding holds, so the padding reaches as far as it does.
                let reaches = geometry.ceil_mode && geometry.padding != [0, 0];
                let ends = if reaches { self.ends(id, geometry) } else { geometry.padding };
                let dilation = ints("dilations", &geometry.dilation);
                let attributes = window(geometry, ends, geometry.ceil_mode && !reaches).into_iter().chain([dilation]);
                self.last(id, "MaxPool", inputs, attributes.collect());
            }
            Pool::Reduce { how, axes, keep } => self.reduce(id, *how, axes, *keep, inputs),
        }
    }

    /// The padding at the end that the last window of a pooling reaches.
    fn ends(&self, id: NodeId, geometry: &PoolGeometry) -> [usize; 2] {
        let node = self.graph.node(id);
        let length =
            |of: NodeId, axis: usize| self.graph.node(of).shape.get(axis + 2).and_then(Dim::known).unwrap_or(0);
        [0, 1].map(|axis| {
            let reach = geometry.dilation[axis] * (geometry.kernel[axis] - 1) + 1;
            let last = length(id, axis).saturating_sub(1) * geometry.stride[axis] + reach;
            last.saturating_sub(length(node.inputs[0], axis) + geometry.padding[axis])
        })
    }

    fn reduce(&mut self, id: NodeId, how: Reduction, axes: &[usize], keep: bool, mut inputs: Vec<String>) {
        let operator = match how {
            Reduction::Sum => "ReduceSum",
            Reduction::Mean => "ReduceMean",
            Reduction::Max => "ReduceMax",
            Reduction::Min => "ReduceMin",
            Reduction::Prod => "ReduceProd",
            Reduction::LogSumExp => "ReduceLogSumExp",
        };
        let mut attributes = vec![int("keepdims", usize::from(keep))];
        if how == Reduction::Sum || self.opset >= LISTED_AXES {
            let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
            inputs.push(self.integers(format!("{}::axes", value(self.graph, id)), &axes));
        } else {
            attributes.push(ints("axes", axes));
        }
        self.last(id, operator, inputs, attributes);
    }
}

/// The attributes of a window; `ends` is the padding below and to the right.
fn window(geometry: &PoolGeometry, ends: [usize; 2], ceil_mode: bool) -> [AttributeProto; 4] {
    [
        ints("kernel_shape", &geometry.kernel),
        ints("strides", &geometry.stride),
        ints("pads", &[geometry.padding, ends].concat()),
        int("ceil_mode", usize::from(ceil_mode)),
    ]
}

/// PyTorch takes the same padding on both sides, of at most half a window.
fn is_pytorchs(geometry: &PoolGeometry, [left, right, top, bottom]: [usize; 4]) -> bool {
    left == right && top == bottom && (0..2).all(|axis| geometry.padding[axis] <= geometry.kernel[axis] / 2)
}
