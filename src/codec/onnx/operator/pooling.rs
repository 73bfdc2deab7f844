//! Windows and means over height and width.

use super::{Lowered, Lowering, Trouble, axis_of};
use crate::codec::onnx::attributes::Window;
use crate::graph::op::PoolGeometry;
use crate::graph::{NodeId, Op};

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
        let ceil_mode = self.attributes.flag("ceil_mode");
        Ok((PoolGeometry { kernel, stride, padding: [top, left], dilation, ceil_mode }, amounts))
    }

    pub(super) fn max_pool(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let (mut geometry, amounts @ [left, right, top, bottom]) = self.pool_geometry(input)?;
        if left != right || top != bottom {
            input = self.explicit_pad(input, amounts, f32::NEG_INFINITY)?;
            geometry.padding = [0, 0];
        }
        self.emit(Op::MaxPool(geometry), vec![input])
    }

    pub(super) fn average_pool(&mut self) -> Lowered {
        let mut input = self.running(0)?;
        let (mut geometry, amounts @ [left, right, top, bottom]) = self.pool_geometry(input)?;
        let count_include_pad = self.attributes.flag("count_include_pad");
        if left != right || top != bottom {
            if !count_include_pad {
                return Err("uneven padding that is not counted is not supported".into());
            }
            input = self.explicit_pad(input, amounts, 0.0)?;
            geometry.padding = [0, 0];
        }
        if geometry.dilation != [1, 1] {
            return Err("a dilated average is not supported".into());
        }
        self.emit(Op::AvgPool { geometry, count_include_pad }, vec![input])
    }

    pub(super) fn reduce_mean(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let raw = self.numbers_or_attribute("axes", 1)?.ok_or("it averages over every axis, the batch included")?;
        let mut axes = raw.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        if rank != 4 || axes != [2, 3] {
            return Err(
                format!("axes {axes:?} of {rank} dimensions; only height and width of an image are supported").into()
            );
        }
        let keep = self.attributes.int("keepdims").unwrap_or(1) != 0;
        self.emit(if keep { Op::GlobalAvgPool } else { Op::SpatialMean }, vec![input])
    }
}
