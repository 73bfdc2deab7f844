//! `predictions.csv` read back: what each variant answered on each sample.

use std::path::Path;

use super::store::RecordError;
use crate::base::files;

/// The answers of a run, samples in subset order and variants in manifest order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    pub samples: Vec<Sample>,
    pub variants: Vec<VariantAnswers>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub id: String,
    /// The class's name, as all classes here.
    pub label: String,
}

/// One variant's answers, as many as there are samples.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantAnswers {
    pub name: String,
    pub answers: Vec<Answer>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub class: String,
    /// Largest logit minus the second largest.
    pub margin: f32,
}

impl Answers {
    #[must_use]
    pub fn of(&self, variant: &str) -> Option<&[Answer]> {
        self.variants.iter().find(|answers| answers.name == variant).map(|answers| answers.answers.as_slice())
    }

    /// Whether each answer of a variant is the sample's label.
    #[must_use]
    pub fn right(&self, variant: &str) -> Option<Vec<bool>> {
        let answers = self.of(variant)?;
        Some(answers.iter().zip(&self.samples).map(|(answer, sample)| answer.class == sample.label).collect())
    }
}

type Row = (String, String, String, String, f32);

/// Reads `predictions.csv` of a run's folder.
pub fn read(folder: &Path) -> Result<Answers, RecordError> {
    let path = folder.join("predictions.csv");
    let bytes = files::read(&path)?;
    let form = |reason: String| RecordError::Table { path: path.clone(), reason };
    let mut answers = Answers::default();
    for (number, row) in csv::Reader::from_reader(bytes.as_slice()).deserialize::<Row>().enumerate() {
        let row = row.map_err(|error| form(error.to_string()))?;
        answers.take(row).map_err(|reason| form(format!("row {}: {reason}", number + 2)))?;
    }
    match answers.variants.iter().find(|variant| variant.answers.len() != answers.samples.len()) {
        Some(short) => Err(form(format!("`{}` does not answer every sample", short.name))),
        None => Ok(answers),
    }
}

impl Answers {
    /// Rows of one sample follow each other, its variants always in the same order.
    fn take(&mut self, (id, label, name, class, margin): Row) -> Result<(), String> {
        let same = self.samples.last().is_some_and(|sample| sample.id == id);
        let place = if same { self.place_within_sample() } else { 0 };
        if !same {
            self.samples.push(Sample { id, label });
        } else if self.samples.last().is_some_and(|sample| sample.label != label) {
            return Err(format!("`{id}` has two labels"));
        }
        let first_sample = self.samples.len() == 1;
        if first_sample && place == self.variants.len() {
            self.variants.push(VariantAnswers { name, answers: Vec::new() });
        } else if self.variants.get(place).is_none_or(|variant| variant.name != name) {
            return Err(format!("`{name}` is out of order"));
        }
        self.variants[place].answers.push(Answer { class, margin });
        Ok(())
    }

    /// How many variants have answered the last sample.
    fn place_within_sample(&self) -> usize {
        self.variants.iter().filter(|variant| variant.answers.len() == self.samples.len()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(rows: &str) -> Result<Answers, String> {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("sample,label,variant,predicted,margin\n{rows}");
        files::write(&folder.path().join("predictions.csv"), text.as_bytes()).unwrap();
        read(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_are_kept_by_variant() {
        let answers = parsed("a,cat,fp32,cat,2.5\na,cat,int8,dog,0.5\nb,dog,fp32,cat,1\nb,dog,int8,dog,1\n").unwrap();
        assert_eq!(answers.right("fp32"), Some(vec![true, false]));
        assert_eq!(answers.right("int8"), Some(vec![false, true]));
        assert_eq!(answers.right("other"), None);
    }

    #[test]
    fn a_table_with_a_hole_is_refused() {
        for (rows, told) in [
            ("a,cat,fp32,cat,1\na,dog,int8,cat,1\n", "two labels"),
            ("a,cat,fp32,cat,1\na,cat,int8,cat,1\nb,cat,int8,cat,1\n", "out of order"),
            ("a,cat,fp32,cat,1\na,cat,int8,cat,1\nb,cat,fp32,cat,1\n", "does not answer every sample"),
            ("a,cat,fp32,cat\n", "fields"),
        ] {
            let error = parsed(rows).unwrap_err();
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
