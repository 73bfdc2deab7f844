//! Axes as ONNX counts them, for what is folded and for what runs.

/// A possibly negative ONNX index, clamped to `0..=len`.
pub(super) fn index(raw: i64, len: usize) -> usize {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_start = if raw < 0 { raw.saturating_add(len) } else { raw };
    usize::try_from(from_start.clamp(0, len)).unwrap_or(0)
}

/// An axis, which may count from the end.
pub(super) fn axis_of(raw: i64, rank: usize) -> Result<usize, String> {
    let len = i64::try_from(rank).unwrap_or(i64::MAX);
    if (-len..len).contains(&raw) { Ok(index(raw, rank)) } else { Err(format!("axis {raw} of {rank} dimensions")) }
}

/// Several axes, in the order in which they are named.
pub(super) fn axes_of(raw: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    raw.iter().map(|&axis| axis_of(axis, rank)).collect()
}

/// `Squeeze`: the dimensions without these axes, or without every one that equals `one`.
pub(super) fn squeezed<T: Copy + PartialEq>(dims: &[T], raw: Option<&[i64]>, one: T) -> Result<Vec<T>, String> {
    let axes = match raw {
        Some([]) => return Err("whether it drops all axes or none is not defined".into()),
        Some(raw) => axes_of(raw, dims.len())?,
        None => (0..dims.len()).filter(|&axis| dims[axis] == one).collect(),
    };
    if axes.iter().any(|&axis| dims[axis] != one) {
        return Err("it drops a dimension that is longer than 1".into());
    }
    Ok(dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| *dim).collect())
}

/// `Unsqueeze`: the dimensions with `one` at each of these axes, which count in the outcome.
pub(super) fn unsqueezed<T: Copy>(mut dims: Vec<T>, raw: &[i64], one: T) -> Result<Vec<T>, String> {
    let mut axes = axes_of(raw, dims.len() + raw.len())?;
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("it names an axis twice".into());
    }
    for axis in axes {
        dims.insert(axis, one);
    }
    Ok(dims)
}
