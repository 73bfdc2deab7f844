//! What moves, selects, joins, repeats or converts values.

use super::lowering::{Lowered, Lowering, Row, Trouble, integers, reals};
use crate::codec::onnx::attributes::size;
use crate::codec::onnx::axes::{axes_of, axis_of, index, squeezed, unsqueezed};
use crate::codec::onnx::constant::Kind;
use crate::codec::onnx::evaluate::{self, Int};
use crate::codec::onnx::network::Operand;
use crate::codec::onnx::writer::{Writer, int, ints, value};
use crate::graph::op::Layout;
use crate::graph::{Dim, Node, NodeId, Op, ReshapeDim};
use crate::tensor::Tensor;

/// A network that repeats something more often than this is not meant for images.
const MOST_COPIES: usize = 64;

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path of a method is for one lifetime, not for each")]
pub(super) const ROWS: &[Row] = &[
    integers("Cast", 7, |node| node.cast(Target::Attribute)),
    integers("CastLike", 15, |node| node.cast(Target::Operand)),
    integers("Concat", 7, |node| node.concat()),
    integers("DepthToSpace", 7, |node| node.depth_to_space()),
    integers("Dropout", 7, |node| node.dropout()),
    reals("Expand", 8, |node| node.expand()),
    integers("Flatten", 7, |node| node.flatten()),
    integers("Gather", 7, |node| node.gather()),
    integers("Identity", 7, |node| node.unary(Op::Layout(Layout::Identity))),
    reals("Pad", 7, |node| node.pad()),
    integers("Reshape", 7, |node| node.reshape()),
    integers("Slice", 7, |node| node.slice()),
    integers("SpaceToDepth", 7, |node| node.space_to_depth()),
    integers("Split", 7, |node| node.split()),
    integers("Squeeze", 7, |node| node.squeeze()),
    integers("Tile", 7, |node| node.tile()),
    integers("Transpose", 7, |node| node.transpose()),
    integers("Unsqueeze", 7, |node| node.unsqueeze()),
];

/// What names the type that values are converted to.
#[derive(Clone, Copy)]
enum Target {
    Attribute,
    /// The second operand, by its own type.
    Operand,
}

impl Lowering<'_> {
    fn flatten(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let axis = self.attributes.int("axis")?.unwrap_or(1);
        let axis = if axis == rank as i64 { rank } else { axis_of(axis, rank)? };
        let shape = self.import.graph.node(input).shape.clone();
        if shape.first() == Some(&Dim::Batch) {
            return self.emit(Op::Layout(Layout::Flatten { axis }), vec![input]);
        }
        let size = |dims: &[Dim]| ReshapeDim::Known(dims.iter().filter_map(Dim::known).product());
        self.emit(Op::Layout(Layout::Reshape(vec![size(&shape[..axis]), size(&shape[axis..])])), vec![input])
    }

    /// The dimensions of a node, as a reshape leaves them.
    fn same_dims(&self, id: NodeId) -> Vec<ReshapeDim> {
        let same = |dim: &Dim| dim.known().map_or(ReshapeDim::Batch, ReshapeDim::Known);
        self.import.graph.node(id).shape.iter().map(same).collect()
    }

    fn squeeze(&mut self) -> Lowered {
        let input = self.running(0)?;
        let raw = self.numbers_from("axes", 1, 13)?;
        let kept = squeezed(&self.same_dims(input), raw.as_deref(), ReshapeDim::Known(1))?;
        self.emit(Op::Layout(Layout::Reshape(kept)), vec![input])
    }

    fn unsqueeze(&mut self) -> Lowered {
        let input = self.running(0)?;
        let raw = self.numbers_from("axes", 1, 13)?.ok_or("it names no axes")?;
        let dims = unsqueezed(self.same_dims(input), &raw, ReshapeDim::Known(1))?;
        self.emit(Op::Layout(Layout::Reshape(dims)), vec![input])
    }

    fn expand(&mut self) -> Lowered {
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
        self.emit(Op::Layout(Layout::Expand(target)), vec![input])
    }

    /// Repeats along each axis.
    fn tile(&mut self) -> Lowered {
        let mut current = self.running(0)?;
        let repeats = self.numbers(1)?;
        if repeats.len() != self.rank(current) {
            return Err("it does not name how often each axis is repeated".into());
        }
        for (axis, &often) in repeats.iter().enumerate().filter(|(_, often)| **often != 1) {
            let often = size(often).filter(|often| (1..=MOST_COPIES).contains(often));
            let often =
                often.ok_or_else(|| format!("it repeats an axis more than {MOST_COPIES} times, or not at all"))?;
            current = self.step(Op::Layout(Layout::Concat { axis }), vec![current; often])?;
        }
        self.emit(Op::Layout(Layout::Identity), vec![current])
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
        let parts = self.step(Op::Layout(Layout::Reshape(dims(&cut))), vec![input])?;
        let turned = self.step(Op::Layout(Layout::Transpose(order.to_vec())), vec![parts])?;
        self.emit(Op::Layout(Layout::Reshape(dims(&out))), vec![turned])
    }

    fn depth_to_space(&mut self) -> Lowered {
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

    fn space_to_depth(&mut self) -> Lowered {
        let input = self.running(0)?;
        let ((first, [c, h, w]), b) = (self.image_dims(input)?, self.block()?);
        if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
            return Err("its height and width do not hold whole blocks".into());
        }
        let out = [c * b * b, h / b, w / b];
        self.rearranged(input, first, [c, h / b, b, w / b, b], [0, 3, 5, 1, 2, 4], out)
    }

    fn reshape(&mut self) -> Lowered {
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
            return self.emit(Op::Layout(Layout::Flatten { axis: 1 }), vec![input]);
        }
        self.emit(Op::Layout(Layout::Reshape(dims)), vec![input])
    }

    fn transpose(&mut self) -> Lowered {
        let input = self.running(0)?;
        let rank = self.rank(input);
        let order: Vec<usize> = match self.attributes.ints("perm")? {
            Some(perm) => axes_of(perm, rank)?,
            None => (0..rank).rev().collect(),
        };
        // One that undoes another leaves what that one was given.
        if let Node { op: Op::Layout(Layout::Transpose(inner)), inputs, .. } = self.import.graph.node(input)
            && order.iter().map(|&axis: &usize| inner[axis]).eq(0..rank)
        {
            return Ok(vec![Operand::Node(inputs[0])]);
        }
        self.emit(Op::Layout(Layout::Transpose(order)), vec![input])
    }

    fn concat(&mut self) -> Lowered {
        let inputs = (0..self.operands.len()).map(|i| self.running(i)).collect::<Result<Vec<_>, _>>()?;
        let first = *inputs.first().ok_or("it joins nothing")?;
        let axis = axis_of(self.attributes.int("axis")?.ok_or("it names no axis")?, self.rank(first))?;
        self.emit(Op::Layout(Layout::Concat { axis }), inputs)
    }

    fn slice(&mut self) -> Lowered {
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
            let op = Op::Layout(Layout::Slice { axis, start: index(starts[i], size), end: index(ends[i], size), step });
            current = self.chained(op, current)?;
        }
        Ok(vec![Operand::Node(current)])
    }

    /// One place along an axis, which is dropped.
    fn gather(&mut self) -> Lowered {
        let input = self.running(0)?;
        let mut dims = self.same_dims(input);
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(0), dims.len())?;
        let ReshapeDim::Known(length) = dims.remove(axis) else { return Err("it chooses among images".into()) };
        let place = match (self.whole(1)?.0.shape.is_empty(), self.numbers(1)?.as_slice()) {
            (true, [place]) => axis_of(*place, length).map_err(|_| format!("place {place} of {length}"))?,
            _ => return Err("only one place can be chosen from what runs".into()),
        };
        let op = Op::Layout(Layout::Slice { axis, start: place, end: place + 1, step: 1 });
        let chosen = self.chained(op, input)?;
        self.emit(Op::Layout(Layout::Reshape(dims)), vec![chosen])
    }

    fn chained(&mut self, op: Op, input: NodeId) -> Result<NodeId, Trouble> {
        self.step(op, vec![input])
    }

    fn split(&mut self) -> Lowered {
        let input = self.running(0)?;
        let axis = axis_of(self.attributes.int("axis")?.unwrap_or(0), self.rank(input))?;
        let size = self.import.graph.node(input).shape[axis].known().ok_or("it splits the batch")?;
        let given = self.numbers_from("split", 1, 13)?;
        let parts = evaluate::part_sizes(given, self.attributes.int("num_outputs")?, size, self.node)?;
        let mut start = 0_usize;
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let end = start + part;
            results.push(Operand::Node(self.chained(Op::Layout(Layout::Slice { axis, start, end, step: 1 }), input)?));
            start = end;
        }
        Ok(results)
    }

    /// Amounts and value became inputs with opset 11, and axes an input with 18.
    fn pad(&mut self) -> Lowered {
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
            _ if amounts.iter().all(|&amount| amount == 0) => self.emit(Op::Layout(Layout::Identity), vec![input]),
            [0, 0, top, left, 0, 0, bottom, right] => {
                self.emit(Op::Layout(Layout::Pad { amounts: [left, right, top, bottom], value }), vec![input])
            }
            _ => Err("only padding of an image's height and width is supported".into()),
        }
    }

    /// Real numbers stay real numbers: what a file computes in 16 or 64 bits is computed in 32 here.
    fn cast(&mut self, target: Target) -> Lowered {
        let input = self.running(0)?;
        let to = match target {
            Target::Attribute => evaluate::wanted_kind(&self.attributes)?,
            Target::Operand => self.kind(1)?,
        };
        self.attributes.without_effect(&["saturate", "round_mode"]);
        if !to.is_real() {
            return Err(format!("it converts what is computed from the image to {}", to.name()).into());
        }
        let converted = self.emit(Op::Layout(Layout::Identity), vec![input])?;
        if to != Kind::F32 {
            self.import.widened.insert(to.name());
        }
        Ok(converted)
    }

    /// The element type of an operand.
    fn kind(&self, position: usize) -> Result<Kind, Trouble> {
        Ok(match self.operand(position)? {
            Operand::Node(_) | Operand::Float { .. } => Kind::F32,
            Operand::Value(value) => value.kind,
            Operand::Quantized(_) => return Err("it converts to many integers".into()),
        })
    }

    /// The training mode became an input with opset 12; the ratio and the seed bear on training alone.
    fn dropout(&mut self) -> Lowered {
        self.attributes.without_effect(&["seed", "ratio"]);
        let _ = self.optional(1);
        let training = self.optional(2).is_some() && self.numbers(2)? != [0];
        if training {
            return Err(Trouble::Advised("it is in training mode".into(), "call `model.eval()` before exporting"));
        }
        self.unary(Op::Layout(Layout::Dropout))
    }

    pub(super) fn explicit_pad(&mut self, input: NodeId, amounts: [usize; 4], value: f32) -> Result<NodeId, Trouble> {
        match self.import.push(self.node, None, Op::Layout(Layout::Pad { amounts, value }), vec![input])? {
            Operand::Node(id) => Ok(id),
            _ => Err("padding did not become a node".into()),
        }
    }
}

impl Writer<'_> {
    pub(super) fn layout(&mut self, id: NodeId, own: &Layout, inputs: Vec<String>) {
        match own {
            Layout::Flatten { axis } => self.last(id, "Flatten", inputs, vec![int("axis", *axis)]),
            Layout::Reshape(target) => self.reshape(id, target, inputs),
            Layout::Transpose(order) => self.last(id, "Transpose", inputs, vec![ints("perm", order)]),
            Layout::Concat { axis } => self.last(id, "Concat", inputs, vec![int("axis", *axis)]),
            Layout::Slice { axis, start, end, step } => self.slice(id, [*start, *end, *axis, *step], inputs),
            Layout::Pad { amounts, value } => self.pad(id, *amounts, *value, inputs),
            Layout::Expand(_) => self.expand(id, inputs),
            Layout::Identity | Layout::Dropout => self.last(id, "Identity", inputs, Vec::new()),
        }
    }

    fn reshape(&mut self, id: NodeId, target: &[ReshapeDim], mut inputs: Vec<String>) {
        let node = self.graph.node(id);
        // 0 copies what stands at the same place, which must be the batch; otherwise it is what is left over.
        let copied = target.first() == Some(&ReshapeDim::Batch)
            && self.graph.node(node.inputs[0]).shape.first() == Some(&Dim::Batch);
        let known = |at: usize| node.shape.get(at).and_then(Dim::known).map_or(-1, |length| length as i64);
        let length = |(at, dim): (usize, &ReshapeDim)| match dim {
            ReshapeDim::Batch if at == 0 && copied => 0,
            ReshapeDim::Batch => -1,
            ReshapeDim::Rest if copied => -1,
            ReshapeDim::Rest => known(at),
            ReshapeDim::Known(length) => *length as i64,
        };
        let target: Vec<i64> = target.iter().enumerate().map(length).collect();
        inputs.push(self.integers(format!("{}::shape", value(self.graph, id)), &target));
        self.last(id, "Reshape", inputs, Vec::new());
    }

    /// `[start, end, axis, step]`.
    fn slice(&mut self, id: NodeId, numbers: [usize; 4], mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let parts = numbers.into_iter().zip(["start", "end", "axis", "step"]);
        let each = parts.map(|(number, part)| self.integers(format!("{name}::{part}"), &[number as i64]));
        inputs.extend(each.collect::<Vec<_>>());
        self.last(id, "Slice", inputs, Vec::new());
    }

    fn pad(&mut self, id: NodeId, [left, right, top, bottom]: [usize; 4], filled: f32, mut inputs: Vec<String>) {
        let name = value(self.graph, id);
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(|amount| amount as i64);
        inputs.push(self.integers(format!("{name}::pads"), &pads));
        inputs.push(self.scalar(format!("{name}::value"), filled));
        self.last(id, "Pad", inputs, Vec::new());
    }

    /// A length of 1 leaves what is there.
    fn expand(&mut self, id: NodeId, mut inputs: Vec<String>) {
        let size = |dim: &Dim| dim.known().map_or(1, |size| size as i64);
        let target: Vec<i64> = self.graph.node(id).shape.iter().map(size).collect();
        inputs.push(self.integers(format!("{}::shape", value(self.graph, id)), &target));
        self.last(id, "Expand", inputs, Vec::new());
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
