//! What a run judges of a network's outputs, without a network, a file or an engine.

pub mod classification;
