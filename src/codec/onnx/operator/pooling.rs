//! Windows and means over height and width.

use std::sync::Arc;

use super::{Lowered, Lowering, Trouble};
use crate::codec::onnx::attributes::Window;
use crate::graph::function::Reduction;
use crate::graph::op::PoolGeometry;
use crate::graph::{NodeId, Op};
use crate::tensor::Tensor;

/// Of a window over an image; more are no network's.
const MOST_PLACES: usize = 1 << 22;

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

    pub(super) fn max_pool(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        // It orders the places of the maxima, which nobody may read.
        self.attributes.without_effect(&["storage_order"]);
        let (mut geometry, amounts) = self.pool_geometry(input)?;
        if !is_pytorchs(&geometry, amounts) {
            input = self.explicit_pad(input, amounts, f32::NEG_INFINITY)?;
            geometry.padding = [0, 0];
        }
        self.emit(Op::MaxPool(geometry), vec![input])
    }

    pub(super) fn average_pool(&mut self) -> Lowered {
        let input = self.running(0)?;
        let (geometry, amounts) = self.pool_geometry(input)?;
        let count_include_pad = self.attributes.flag("count_include_pad")?;
        if geometry.dilation != [1, 1] {
            return Err("a dilated average is not supported".into());
        }
        if is_pytorchs(&geometry, amounts) {
            return self.emit(Op::AvgPool { geometry, count_include_pad }, vec![input]);
        }
        let size = self.image_size(input)?;
        let padded = self.explicit_pad(input, amounts, 0.0)?;
        let pool = Op::AvgPool { geometry: PoolGeometry { padding: [0, 0], ..geometry }, count_include_pad: true };
        if count_include_pad {
            return self.emit(pool, vec![padded]);
        }
        if geometry.ceil_mode {
            return Err("uneven padding that is not counted is not supported with ceil_mode".into());
        }
        let mean = self.step(pool, vec![padded])?;
        let shares = self.counted_shares(&geometry, amounts, size)?;
        self.emit(Op::Mul { relu: false }, vec![mean, shares])
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

    pub(super) fn reduce_mean(&mut self) -> Lowered {
        let input = self.running(0)?;
        if self.rank(input) == 4 && self.axes(input)?.is_some_and(|axes| axes == [2, 3]) {
            return self.emit(if self.keeps()? { Op::GlobalAvgPool } else { Op::SpatialMean }, vec![input]);
        }
        self.reduce(None, Reduction::Mean, None)
    }

    pub(super) fn global_average(&mut self) -> Lowered {
        let input = self.running(0)?;
        if self.rank(input) == 4 { self.unary(Op::GlobalAvgPool) } else { self.global(Reduction::Mean) }
    }
}

/// PyTorch takes the same padding on both sides, of at most half a window.
fn is_pytorchs(geometry: &PoolGeometry, [left, right, top, bottom]: [usize; 4]) -> bool {
    left == right && top == bottom && (0..2).all(|axis| geometry.padding[axis] <= geometry.kernel[axis] / 2)
}
