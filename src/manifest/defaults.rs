//! What an absent key means.

/// The schema that the defaults belong to.
pub const SCHEMA: u32 = 1;

/// What an absent key means, for ever, in a manifest with `schema = 1`.
pub(super) const DEFAULTS: &str = r#"
[dataset.preprocess]
interpolation = "bilinear"
antialias = false

[calibration]
seed = 0
batch_size = 32

[evaluation]
seed = 0
batch_size = 32

[quantize]
recipe = "fx-default"

[compute]
threads = 2
isa = "native"

[benchmark]
batch_sizes = [1, 32]
rounds = 20
processes = 10
iterations = 5
min_seconds = 0.05
warmup = 1
max_warmup = 50
noise_floor = 0.03
max_seconds = 1800
timeout_seconds = 300
seed = 0

[goals]

[record]
logits = false

[report]
"#;
