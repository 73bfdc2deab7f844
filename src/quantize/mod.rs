//! From a float graph and calibration activations to integer parameters. Follows
//! `torch.ao.quantization` to the bit where a recipe says so; never runs a network itself.

pub mod bias;
pub mod calibrate;
pub mod equalize;
pub mod observer;
pub mod plan;
pub mod qparams;
pub mod reach;
pub mod rounding;
pub mod scheme;
pub mod weights;

pub use crate::manifest::Recipe;
pub use calibrate::{Calibration, Calibrator};
pub use plan::{LayerRule, Plan};
pub use scheme::Scheme;
