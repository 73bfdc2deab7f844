//! Everything that decides how a network is quantized: what a recipe stands for, or what was chosen
//! for it.

use serde::{Deserialize, Serialize};

use super::observer::ObserverKind;
use super::qparams::Range;
use crate::manifest::{Choice as _, Granularity, Quantize, Recipe, Step};

/// The choices of a quantization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheme {
    /// Of every activation that no layer rule changes.
    pub observer: ObserverKind,
    /// In the order in which they are taken.
    pub steps: Vec<Step>,
    pub weights: Granularity,
    /// Whether activations have 7 bits; `None` leaves it to the steps.
    pub reduce_range: Option<bool>,
}

impl Scheme {
    /// What a manifest asks for; of [`Recipe::Robust`], where the search begins.
    #[must_use]
    pub fn of(settings: &Quantize) -> Self {
        let recipe = settings.recipe;
        let steps = settings.steps.clone().unwrap_or_else(|| recipe.steps().to_vec());
        Self {
            observer: recipe.activation_observer(),
            steps: in_order(steps),
            weights: settings.weights.unwrap_or(Granularity::PerChannel),
            reduce_range: settings.reduce_range,
        }
    }

    /// PyTorch's default.
    #[must_use]
    pub const fn fx() -> Self {
        Self {
            observer: ObserverKind::Histogram,
            steps: Vec::new(),
            weights: Granularity::PerChannel,
            reduce_range: None,
        }
    }

    #[must_use]
    pub fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    /// The same with one step more or one less.
    #[must_use]
    pub fn toggled(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        if self.has(step) {
            steps.retain(|own| *own != step);
        } else {
            steps.push(step);
        }
        Self { steps: in_order(steps), ..self.clone() }
    }

    /// The same without the steps that take many passes: nearest integers, biases corrected at once.
    #[must_use]
    pub fn without_learning(&self) -> Self {
        let simple = |step: &Step| match step {
            Step::AdaRound => None,
            Step::SequentialBiasCorrection => Some(Step::BiasCorrection),
            other => Some(*other),
        };
        Self { steps: in_order(self.steps.iter().filter_map(simple).collect()), ..self.clone() }
    }

    /// The same for batches of few images, which gain nothing by steps that are about kernels.
    #[must_use]
    pub fn for_few_images(&self) -> Self {
        let about_kernels = [Step::FloatStem, Step::ProductsOnly, Step::Fuse, Step::SmallBatches];
        let steps = self.steps.iter().filter(|step| !about_kernels.contains(step)).copied().collect();
        Self { steps, ..self.clone() }
    }

    /// The integers of an activation. FBGEMM adds pairs of products in 16 bits on CPUs without VNNI: with
    /// 8-bit activations and weights those saturate, which is why PyTorch reduces activations to 7
    /// bits. Where weights are bounded instead, activations have all 8.
    #[must_use]
    pub fn activation_range(&self) -> Range {
        Range { min: 0, max: if self.bits() == 8 { 255 } else { 127 } }
    }

    /// The same, with its steps in the order in which they are taken.
    #[must_use]
    pub fn in_order(self) -> Self {
        Self { steps: in_order(self.steps), ..self }
    }

    /// How many integers an activation may take.
    #[must_use]
    pub fn levels(&self) -> usize {
        1 << self.bits()
    }

    fn bits(&self) -> u32 {
        if self.reduce_range.unwrap_or(!self.has(Step::BoundWeights)) { 7 } else { 8 }
    }

    /// One sentence for reports.
    #[must_use]
    pub fn describe(&self) -> String {
        let observer = match self.observer {
            ObserverKind::Histogram => "histogram observer (2 048 bins, L2 search)",
            ObserverKind::Percentile => "99.99 % percentile observer",
            ObserverKind::Mse => "least-squares observer",
            ObserverKind::Kl => "least-divergence observer",
            ObserverKind::Minmax | ObserverKind::Fixed => "min/max observer",
        };
        let (bits, weights) = (self.bits(), self.weights);
        let steps: Vec<&str> = self.steps.iter().map(|step| step.word()).collect();
        let steps = if steps.is_empty() { String::new() } else { format!("; steps: {}", steps.join(", ")) };
        format!("{observer}, unsigned {bits}-bit affine activations; {weights} symmetric 8-bit weights{steps}")
    }
}

/// Each once, in the order in which steps are taken.
fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_unstable();
    steps.dedup();
    steps
}

impl Recipe {
    /// The recipe whose observer this is.
    #[must_use]
    pub const fn of(observer: ObserverKind) -> Self {
        match observer {
            ObserverKind::Histogram | ObserverKind::Fixed => Self::FxDefault,
            ObserverKind::Minmax => Self::Minmax,
            ObserverKind::Percentile => Self::Percentile,
            ObserverKind::Mse => Self::Mse,
            ObserverKind::Kl => Self::Kl,
        }
    }

    /// The observer of every activation that no layer rule changes.
    #[must_use]
    pub const fn activation_observer(self) -> ObserverKind {
        match self {
            Self::FxDefault | Self::Robust => ObserverKind::Histogram,
            Self::Minmax => ObserverKind::Minmax,
            Self::Percentile => ObserverKind::Percentile,
            Self::Mse => ObserverKind::Mse,
            Self::Kl => ObserverKind::Kl,
        }
    }

    /// The steps of a recipe, or those that its search begins with.
    #[must_use]
    pub const fn steps(self) -> &'static [Step] {
        match self {
            Self::FxDefault | Self::Minmax | Self::Percentile | Self::Mse | Self::Kl => &[],
            Self::Robust => &[Step::Equalize, Step::BoundWeights, Step::BiasCorrection],
        }
    }
}
