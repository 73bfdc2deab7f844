//! `outputs.csv` read back: how close each variant's outputs are to the baseline's on each sample.

use std::path::Path;

use super::store::RecordError;
use crate::base::files;
use crate::task::fidelity::Closeness;

/// The outputs of a run beside the baseline's, samples in subset order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs {
    pub samples: Vec<String>,
    /// In manifest order.
    pub variants: Vec<VariantOutputs>,
}

/// One variant's outputs, in the order of the model's file, each with a sample's closeness after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantOutputs {
    pub name: String,
    pub outputs: Vec<(String, Vec<Closeness>)>,
}

impl Outputs {
    #[must_use]
    pub fn of(&self, variant: &str) -> Option<&[(String, Vec<Closeness>)]> {
        self.variants.iter().find(|own| own.name == variant).map(|own| own.outputs.as_slice())
    }
}

/// [`super::tables::OUTPUTS`]; an empty cell is no number.
type Row = (String, String, String, Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// Reads `outputs.csv` of a run's folder.
pub fn read(folder: &Path) -> Result<Outputs, RecordError> {
    let path = folder.join("outputs.csv");
    let bytes = files::read(&path)?;
    let form = |reason: String| RecordError::Table { path: path.clone(), reason };
    let mut all = Outputs::default();
    for (number, row) in csv::Reader::from_reader(bytes.as_slice()).deserialize::<Row>().enumerate() {
        let row = row.map_err(|error| form(error.to_string()))?;
        all.take(row).map_err(|reason| form(format!("row {}: {reason}", number + 2)))?;
    }
    let is_short = |own: &&VariantOutputs| own.outputs.iter().any(|(_, all_of)| all_of.len() != all.samples.len());
    match all.variants.iter().find(is_short) {
        Some(short) => Err(form(format!("`{}` does not answer every sample", short.name))),
        None => Ok(all),
    }
}

impl Outputs {
    /// Rows of one sample follow each other.
    fn take(&mut self, (sample, variant, output, signal, noise, product, energy, _): Row) -> Result<(), String> {
        let is_known = self.variants.first().and_then(|own| own.outputs.first()).is_some_and(|(known, closeness)| {
            self.variants[0].name == variant && *known == output && closeness.len() == self.samples.len()
        });
        if self.samples.is_empty() || is_known {
            self.samples.push(sample);
        } else if self.samples.last() != Some(&sample) {
            return Err(format!("`{sample}` is out of order"));
        }
        let [signal, noise, product, energy] = [signal, noise, product, energy].map(|sum| sum.unwrap_or(f64::NAN));
        let own = Closeness { signal, noise, product, energy };
        let place = self.variants.iter().position(|known| known.name == variant).unwrap_or_else(|| {
            self.variants.push(VariantOutputs { name: variant, outputs: Vec::new() });
            self.variants.len() - 1
        });
        let outputs = &mut self.variants[place].outputs;
        match outputs.iter_mut().find(|(known, _)| *known == output) {
            Some((_, all)) => all.push(own),
            None => outputs.push((output, vec![own])),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tables;

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let of = |noise: f64| Closeness { signal: 0.1 + 0.2, noise, product: 1.0 / 3.0, energy: 2.0 };
        let baseline = vec![vec![of(0.0), of(0.0)], vec![of(0.0), of(0.0)]];
        let int8 = vec![vec![of(0.125), of(1e-9)], vec![of(3.0), of(f64::NAN)]];
        let names = ["boxes".to_owned(), "scores".to_owned()];
        let variants = [("fp32", baseline.as_slice()), ("int8", int8.as_slice())];
        let folder = tempfile::tempdir().unwrap();
        let text = tables::outputs(&names, &["a", "b"], &variants);
        files::write(&folder.path().join("outputs.csv"), &text).unwrap();
        let read = read(folder.path()).unwrap();
        assert_eq!(read.samples, ["a", "b"]);
        let scores = &read.of("int8").unwrap()[1];
        assert_eq!((scores.0.as_str(), scores.1[0]), ("scores", of(3.0)));
        assert!(scores.1[1].noise.is_nan() && !scores.1[1].is_defined());
        assert_eq!(read.of("fp32").unwrap()[0].1, baseline[0]);
    }
}
