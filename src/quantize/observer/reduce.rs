//! Float sums in the order PyTorch adds them, so that equal inputs give equal bits.

/// Lanes of a 256-bit register and the independent accumulators per step in PyTorch's kernel.
const LANES: usize = 8;
const ROWS: usize = 4;
const LEVELS: usize = 4;

type Lane = [f32; LANES];

fn add(into: &mut Lane, from: Lane) {
    for lane in 0..LANES {
        into[lane] += from[lane];
    }
}

/// `torch.sum` of a contiguous `f32` vector on a 256-bit CPU: cascade summation (PyTorch,
/// `aten/src/ATen/native/cpu/SumKernel.cpp`) over four rows of eight lanes.
pub(super) fn sum(values: &[f32]) -> f32 {
    let (blocks, tail) = values.as_chunks::<LANES>();
    let mut rows = cascade(blocks);
    for block in &blocks[blocks.len() / ROWS * ROWS..] {
        add(&mut rows[0], *block);
    }
    let [mut whole, rest @ ..] = rows;
    rest.into_iter().for_each(|row| add(&mut whole, row));
    tail.iter().chain(&whole).fold(0.0, |total, x| total + x)
}

/// Partial sums are carried to the next level every `step` additions, which bounds rounding error.
fn cascade(blocks: &[Lane]) -> [Lane; ROWS] {
    let steps = blocks.len() / ROWS;
    let power = (ceil_log2(steps) / LEVELS).max(4);
    let step = 1 << power;
    let mut levels = [[[0.0; LANES]; ROWS]; LEVELS];
    for (done, rows) in blocks.chunks_exact(ROWS).enumerate() {
        for (row, block) in levels[0].iter_mut().zip(rows) {
            add(row, *block);
        }
        let done = done + 1;
        if done % step == 0 {
            carry(&mut levels, done, power);
        }
    }
    let [mut total, rest @ ..] = levels;
    for level in rest {
        total.iter_mut().zip(level).for_each(|(row, more)| add(row, more));
    }
    total
}

fn carry(levels: &mut [[Lane; ROWS]; LEVELS], done: usize, power: usize) {
    for level in 1..LEVELS {
        let lower = std::mem::replace(&mut levels[level - 1], [[0.0; LANES]; ROWS]);
        levels[level].iter_mut().zip(lower).for_each(|(row, more)| add(row, more));
        if done & (((1 << power) - 1) << (level * power)) != 0 {
            break;
        }
    }
}

const fn ceil_log2(n: usize) -> usize {
    if n <= 2 { 1 } else { (usize::BITS - (n - 1).leading_zeros()) as usize }
}

/// `torch.cumsum` of an `f32` vector: accumulated in `f64`, each result rounded once.
#[expect(clippy::cast_possible_truncation, reason = "the rounding is the point")]
pub(super) fn cumulative(values: &[f32]) -> Vec<f32> {
    let mut total = 0.0_f64;
    values
        .iter()
        .map(|&x| {
            total += f64::from(x);
            total as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_exact_numbers_are_exact_at_any_length() {
        for n in [0, 1, 7, 8, 31, 32, 100, 2048, 5000] {
            let values: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
            let exact: u32 = (0..n).map(|i| i % 7).sum();
            assert_eq!(sum(&values), exact as f32);
        }
        assert_eq!(cumulative(&[1.0, 2.0, 3.0]), [1.0, 3.0, 6.0]);
    }
}
