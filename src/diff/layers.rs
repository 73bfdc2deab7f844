//! Layers of the quantized network whose parameters or weights differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::record::format::Layer;

/// A layer that is not the same in both runs. Absent values are unknown, or the layer's absence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerChange {
    pub layer: String,
    pub a: Option<State>,
    pub b: Option<State>,
}

/// What quantization made of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    pub operator: String,
    pub quantized: bool,
    pub scale: Option<f64>,
    pub zero_point: Option<i32>,
    pub observer: Option<String>,
    /// What was seen of its output.
    pub min: Option<f32>,
    pub max: Option<f32>,
    /// The range chosen for its output.
    pub low: Option<f32>,
    pub high: Option<f32>,
    /// Of its weights, in dB.
    pub sqnr_db: Option<f64>,
}

impl State {
    fn of(layer: &Layer) -> Self {
        Self {
            operator: layer.operator.clone(),
            quantized: layer.float_because.is_none(),
            scale: layer.output.map(|output| output.scale),
            zero_point: layer.output.map(|output| output.zero_point),
            observer: layer.observed.as_ref().map(|observed| observed.observer.clone()),
            min: layer.observed.as_ref().map(|observed| observed.min),
            max: layer.observed.as_ref().map(|observed| observed.max),
            low: layer.observed.as_ref().map(|observed| observed.low),
            high: layer.observed.as_ref().map(|observed| observed.high),
            sqnr_db: layer.weight.as_ref().and_then(|weight| weight.sqnr_db),
        }
    }

    /// Same but for the last digits of what was computed in float.
    fn is_near(&self, other: &Self, tolerance: f64) -> bool {
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= tolerance * a.abs().max(b.abs()),
            (a, b) => a == b,
        };
        self.operator == other.operator
            && self.quantized == other.quantized
            && self.zero_point == other.zero_point
            && near(self.scale, other.scale)
            && near(self.sqnr_db, other.sqnr_db)
    }
}

impl LayerChange {
    /// How far apart the layer is: the factor between the scales as a logarithm; without end where
    /// one run has it in another form.
    #[must_use]
    pub fn distance(&self) -> f64 {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) if a.quantized == b.quantized && a.operator == b.operator => {
                let scales = a.scale.zip(b.scale).map_or(0.0, |(a, b)| (a.ln() - b.ln()).abs());
                let sqnr = a.sqnr_db.zip(b.sqnr_db).map_or(0.0, |(a, b)| (a - b).abs() / 20.0);
                scales + sqnr
            }
            _ => f64::INFINITY,
        }
    }

    #[must_use]
    pub fn is_within(&self, tolerance: f64) -> bool {
        self.a.as_ref().zip(self.b.as_ref()).is_some_and(|(a, b)| a.is_near(b, tolerance))
    }
}

/// The layers that differ, the farthest apart first.
pub(super) fn between(a: &[Layer], b: &[Layer]) -> Vec<LayerChange> {
    let by_name = |layers: &[Layer]| -> BTreeMap<String, State> {
        layers.iter().map(|layer| (layer.name.clone(), State::of(layer))).collect()
    };
    let (left, right) = (by_name(a), by_name(b));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let change =
        |name: &String| LayerChange { layer: name.clone(), a: left.get(name).cloned(), b: right.get(name).cloned() };
    let mut changes: Vec<LayerChange> =
        names.into_iter().filter(|name| left.get(*name) != right.get(*name)).map(change).collect();
    // Names are in order already, so equals keep it.
    changes.sort_by(|x, y| y.distance().total_cmp(&x.distance()));
    changes
}
