//! What the channels of tensors reach, which equalization goes by.

use crate::tensor::Tensor;

/// The largest absolute value of each channel of a tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChannelReach(pub Vec<f32>);

impl ChannelReach {
    /// Takes in a batch whose second dimension is the channel.
    pub fn observe(&mut self, batch: &Tensor) {
        let &[images, channels, ..] = batch.shape() else { return };
        let Some(values) = batch.as_f32() else { return };
        let size = values.len().checked_div(images * channels).unwrap_or(0).max(1);
        self.0.resize(channels, 0.0);
        for (at, plane) in values.chunks(size).enumerate() {
            // Lanes let the compiler vectorize; a maximum does not depend on the order.
            let mut lanes = [0.0_f32; 8];
            let (blocks, tail) = plane.as_chunks::<8>();
            for block in blocks {
                (0..8).for_each(|lane| lanes[lane] = lanes[lane].max(block[lane].abs()));
            }
            let widest = tail.iter().map(|x| x.abs()).chain(lanes).fold(0.0, f32::max);
            self.0[at % channels] = self.0[at % channels].max(widest);
        }
    }
}
