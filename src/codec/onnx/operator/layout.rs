//! Operators that move or select values.

use super::{Lowered, Lowering, Trouble, axes_of, axis_of, index, squeezed, unsqueezed};
use crate::codec::onnx::attributes::size;
use crate::codec::onnx::evaluate::{self, Int};
use crate::codec::onnx::import::Operand;
use crate::graph::op::ReshapeDim;
use crate::graph::{Dim, Node, NodeId, Op};
use crate::tensor::Tensor;

/// A network that repeats something more often than this is not meant for images.
const MOST_COPIES: usize = 64;

impl Lowering<'_> {
    pub(super) fn flatten(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let axis = self.attributes.int("axis")?.unwrap_or(1);
        let axis = if axis == rank as i64 { rank } else { axis_of(axis, rank)? };
        let shape = self.import.graph.node(input).shape.clone();
        if shape.first() == Some(&Dim::Batch) {
            return self.emit(Op::Flatten { axis }, vec![input]);
        }
        let size = |dims: &[Dim]| ReshapeDim::Known(dims.iter().filter_map(Dim::known).product());
        self.emit(Op::Reshape(vec![size(&shape[..axis]), size(&shape[axis..])]), vec![input])
    }

    /// The dimensions of a node, as a reshape leaves them.
    fn same_dims(&self, id: NodeId) -> Vec<ReshapeDim> {
        let same = |dim: &Dim| dim.known().map_or(ReshapeDim::Batch, ReshapeDim::Known);
        self.import.graph.node(id).shape.iter().map(same).collect()
    }

    pub(super) fn squeeze(&mut self) -> Lowered {
        let input = self.running(0)?;
        let raw = self.numbers_from("axes", 1, 13)?;
        let kept = squeezed(&self.same_dims(input), raw.as_deref(), ReshapeDim::Known(1))?;
        self.emit(Op::Reshape(kept), vec![input])
    }

    pub(super) fn unsqueeze(&mut self) -> Lowered {
        let input = self.running(0)?;
        let raw = self.numbers_from("axes", 1, 13)?.ok_or("it names no axes")?;
        let dims = unsqueezed(self.same_dims(input), &raw, ReshapeDim::Known(1))?;
        self.emit(Op::Reshape(dims), vec![input])
    }

    pub(super) fn expand(&mut self) -> Lowered {
        let input = self.running(0)?;
        let mut own = self.same_dims(input);
        let mut target = self.whole(1)?.1.to_vec();
        let rank = own.len().max(target.len());
        own.splice(..0, vec![ReshapeDim::Known(1); rank - own.len()]);
        target.splice(..0, vec![Int::Known(1); rank - target.len()]);
        let dim = |(own, wanted): (&ReshapeDim, &Int)| match (*own, *wanted) {
            (own, Int::Known(1)) => Ok(own),
            (ReshapeDim::Batch, Int::Batch) => Ok(ReshapeDim::Batch),
            (_, Int::Known(wanted)) => {
                size(wanted).map(ReshapeDim::Known).ok_or("a size is negative or absurdly large")
            }
            (_, Int::Batch) => Err("it repeats something for each image"),
        };
        let target = own.iter().zip(&target).map(dim).collect::<Result<Vec<_>, _>>()?;
        self.emit(Op::Expand(target), vec![input])
    }

    /// Repeats along each axis.
    pub(super) fn tile(&mut self) -> Lowered {
        let mut current = self.running(0)?;
        let repeats = self.numbers(1)?;
        if repeats.len() != self.rank(current) {
            return Err("it does not name how often each axis is repeated".into());
        }
        for (axis, &often) in repeats.iter().enumerate().filter(|(_, often)| **often != 1) {
            let often = size(often).filter(|often| (1..=MOST_COPIES).contains(often));
            let often =
                often.ok_or_else(|| format!("it repeats an axis more than {MOST_COPIES} times, or not at all"))?;
            current = self.step(Op::Concat { axis }, vec![current; often])?;
        }
        self.emit(Op::Identity, vec![current])
    }

    /// `[batch, channels, height, width]` with known sizes.
    fn image_dims(&self, id: NodeId) -> Result<(ReshapeDim, [usize; 3]), Trouble> {
        match *self.same_dims(id).as_slice() {
            [n, ReshapeDim::Known(c), ReshapeDim::Known(h), ReshapeDim::Known(w)] => Ok((n, [c, h, w])),
            _ => Err("its input is not an image".into()),
        }
    }

    fn block(&self) -> Result<usize, Trouble> {
        self.attributes
            .int("blocksize")?
            .and_then(size)
            .filter(|&block| block > 0)
            .ok_or_else(|| "bad block size".into())
    }

    fn rearranged(
        &mut self,
        input: NodeId,
        first: ReshapeDim,
        cut: [usize; 5],
        order: [usize; 6],
        out: [usize; 3],
    ) -> Lowered {
        let dims =
            |sizes: &[usize]| std::iter::once(first).chain(sizes.iter().map(|&size| ReshapeDim::Known(size))).collect();
        let parts = self.step(Op::Reshape(dims(&cut)), vec![input])?;
        let turned = self.step(Op::Transpose(order.to_vec()), vec![parts])?;
        self.emit(Op::Reshape(dims(&out)), vec![turned])
    }

    pub(super) fn depth_to_space(&mut self) -> Lowered {
        let input = self.running(0)?;
        let ((first, [c, h, w]), b) = (self.image_dims(input)?, self.block()?);
        if !c.is_multiple_of(b * b) {
            return Err("its channels do not fill blocks".into());
        }
        let (left, out) = (c / (b * b), [c / (b * b), h * b, w * b]);
        match self.attributes.text("mode")?.as_deref() {
            None | Some("" | "DCR") => self.rearranged(input, first, [b, b, left, h, w], [0, 3, 4, 1, 5, 2], out),
            Some("CRD") => self.rearranged(input, first, [left, b, b, h, w], [0, 1, 4, 2, 5, 3], out),
            Some(other) => Err(format!("`mode = {other}` is not one of the standard's").into()),
        }
    }

    pub(super) fn space_to_depth(&mut self) -> Lowered {
        let input = self.running(0)?;
        let ((first, [c, h, w]), b) = (self.image_dims(input)?, self.block()?);
        if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
            return Err("its height and width do not hold whole blocks".into());
        }
        let out = [c * b * b, h / b, w / b];
        self.rearranged(input, first, [c, h / b, b, w / b, b], [0, 3, 5, 1, 2, 4], out)
    }

    pub(super) fn reshape(&mut self) -> Lowered {
        let input = self.running(0)?;
        let target = self.whole(1)?.1.to_vec();
        let shape = self.import.graph.node(input).shape.clone();
        let zero_copies = !self.attributes.flag("allowzero")?;
        let mut dims = Vec::with_capacity(target.len());
        for (position, int) in target.iter().enumerate() {
            dims.push(match *int {
                Int::Batch => ReshapeDim::Batch,
                Int::Known(-1) => ReshapeDim::Rest,
                Int::Known(0) if zero_copies => match shape.get(position) {
                    Some(Dim::Batch) => ReshapeDim::Batch,
                    Some(Dim::Known(size)) => ReshapeDim::Known(*size),
                    None => return Err("it copies a dimension that is not there".into()),
                },
                Int::Known(size) => ReshapeDim::Known(usize::try_from(size).map_err(|_| "negative size")?),
            });
        }
        open_the_batch(&mut dims, &shape, self.import.declared_batch);
        if dims.len() == 2 && dims[0] == ReshapeDim::Batch && shape.first() == Some(&Dim::Batch) {
            return self.emit(Op::Flatten { axis: 1 }, vec![input]);
        }
        self.emit(Op::Reshape(dims), vec![input])
    }

    pub(super) fn transpose(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let order: Vec<usize> = match self.attributes.ints("perm")? {
            Some(perm) => axes_of(perm, rank)?,
            None => (0..rank).rev().collect(),
        };
        // One that undoes another leaves what that one was given.
        if let Node { op: Op::Transpose(inner), inputs, .. } = self.import.graph.node(input)
            && order.iter().map(|&axis: &usize| inner[axis]).eq(0..rank)
        {
            return Ok(vec![Operand::Node(inputs[0])]);
        }
        self.emit(Op::Transpose(order), vec![input])
    }

    pub(super) fn concat(&mut self) -> Lowered {
        let inputs = (0..self.operands.len()).map(|i| self.running(i)).collect::<Result<Vec<_>, _>>()?;
        let first = *inputs.first().ok_or("it joins nothing")?;
        let axis = axis_of(self.attributes.int("axis")?.ok_or("it names no axis")?, self.rank(first))?;
        self.emit(Op::Concat { axis }, inputs)
    }

    pub(super) fn slice(&mut self) -> Lowered {
        let mut current = self.running(0)?;
        let starts = self.numbers_from("starts", 1, 10)?.ok_or("it names no starts")?;
        let ends = self.numbers_from("ends", 2, 10)?.ok_or("it names no ends")?;
        let rank = self.rank(current);
        let axes = self.numbers_from("axes", 3, 10)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let given = if self.import.opset < 10 { None } else { self.numbers_from("steps", 4, 10)? };
        let steps = given.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps differ in length".into());
        }
        for i in 0..starts.len() {
            let axis = axis_of(axes[i], rank)?;
            if axes[..i].iter().any(|&earlier| axis_of(earlier, rank).is_ok_and(|earlier| earlier == axis)) {
                return Err(format!("it names axis {axis} twice").into());
            }
            let Some(size) = self.import.graph.node(current).shape[axis].known() else {
                // All of the batch is no slice of it.
                if (starts[i], steps[i]) == (0, 1) && ends[i] >= i64::from(i32::MAX) {
                    continue;
                }
                return Err("it slices the batch".into());
            };
            let step =
                usize::try_from(steps[i]).ok().filter(|&step| step > 0).ok_or("a step below 1 is not supported")?;
            let op = Op::Slice { axis, start: index(starts[i], size), end: index(ends[i], size), step };
            current = self.chained(op, current)?;
        }
        Ok(vec![Operand::Node(current)])
    }

    /// One place along an axis, which is dropped.
    pub(super) fn gather(&mut self) -> Lowered {
        let input = self.running(0)?;
        let mut dims = self.same_dims(input);
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(0), dims.len())?;
        let ReshapeDim::Known(length) = dims.remove(axis) else { return Err("it chooses among images".into()) };
        let place = match (self.whole(1)?.0.shape.is_empty(), self.numbers(1)?.as_slice()) {
            (true, [place]) => axis_of(*place, length).map_err(|_| format!("place {place} of {length}"))?,
            _ => return Err("only one place can be chosen from what runs".into()),
        };
        let op = Op::Slice { axis, start: place, end: place + 1, step: 1 };
        let chosen = self.chained(op, input)?;
        self.emit(Op::Reshape(dims), vec![chosen])
    }

    fn chained(&mut self, op: Op, input: NodeId) -> Result<NodeId, Trouble> {
        self.step(op, vec![input])
    }

    pub(super) fn split(&mut self) -> Lowered {
        let input = self.running(0)?;
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(0), self.rank(input))?;
        let size = self.import.graph.node(input).shape[axis].known().ok_or("it splits the batch")?;
        let given = self.numbers_from("split", 1, 13)?;
        let parts = evaluate::part_sizes(given, self.attributes.int("num_outputs")?, size, self.node)?;
        let mut start = 0_usize;
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let end = start + part;
            results.push(Operand::Node(self.chained(Op::Slice { axis, start, end, step: 1 }, input)?));
            start = end;
        }
        Ok(results)
    }

    /// Amounts and value became inputs with opset 11, and axes an input with 18.
    pub(super) fn pad(&mut self) -> Lowered {
        let mode = self.attributes.text("mode")?;
        if !matches!(mode.as_deref(), None | Some("" | "constant")) {
            return Err(format!("`mode = {}` is not supported, constant padding is", mode.unwrap_or_default()).into());
        }
        let input = self.running(0)?;
        let raw = self.numbers_from("pads", 1, 11)?.ok_or("it names no pads")?;
        let value = if self.import.opset < 11 {
            self.attributes.float("value", 0.0)?
        } else {
            match self.optional_tensor(2)?.as_deref().map(Tensor::as_f32) {
                None => 0.0,
                Some(Some([value])) => *value,
                Some(_) => return Err("it pads with more than one number".into()),
            }
        };
        if value.is_nan() {
            return Err("it pads with what is not a number".into());
        }
        let rank = self.rank(input);
        let axes = if self.import.opset < 18 { None } else { self.numbers_from("axes", 3, 18)? };
        let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
        if raw.len() != 2 * axes.len() {
            return Err(format!("{} pads for {} axes", raw.len(), axes.len()).into());
        }
        let mut amounts = vec![None; 2 * rank];
        for (at, &axis) in axes.iter().enumerate() {
            let axis = axis_of(axis, rank)?;
            for (side, raw) in [(axis, raw[at]), (rank + axis, raw[axes.len() + at])] {
                let amount = size(raw).ok_or("only non-negative padding is supported")?;
                if amounts[side].replace(amount).is_some() {
                    return Err(format!("it names axis {axis} twice").into());
                }
            }
        }
        let amounts: Vec<usize> = amounts.into_iter().map(Option::unwrap_or_default).collect();
        match *amounts.as_slice() {
            _ if amounts.iter().all(|&amount| amount == 0) => self.emit(Op::Identity, vec![input]),
            [0, 0, top, left, 0, 0, bottom, right] => {
                self.emit(Op::Pad { amounts: [left, right, top, bottom], value }, vec![input])
            }
            _ => Err("only padding of an image's height and width is supported".into()),
        }
    }
}

/// Where the target does not name the batch, the dimension that must be it does: a leading `-1`, or
/// the batch size that the file was exported with, if the other dimensions hold exactly one image.
fn open_the_batch(dims: &mut [ReshapeDim], shape: &[Dim], declared: Option<usize>) {
    let Some((&first, rest)) = dims.split_first() else { return };
    if shape.first() != Some(&Dim::Batch) || dims.contains(&ReshapeDim::Batch) {
        return;
    }
    let per_image = shape.iter().filter_map(Dim::known).fold(1, usize::saturating_mul);
    let known = |dim: &ReshapeDim| if let ReshapeDim::Known(size) = dim { Some(*size) } else { None };
    let whole =
        rest.contains(&ReshapeDim::Rest) || rest.iter().filter_map(known).fold(1, usize::saturating_mul) == per_image;
    let stands_for_batch = match first {
        ReshapeDim::Rest => true,
        ReshapeDim::Known(size) => Some(size) == declared,
        ReshapeDim::Batch => false,
    };
    if stands_for_batch && whole {
        dims[0] = ReshapeDim::Batch;
    }
}
