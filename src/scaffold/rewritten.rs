//! A manifest's text with another `[quantize]` table: what tuning found, or a remedy that was measured, written down.

use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table, Value, value};

use crate::document::edited;
use crate::manifest::{AdaRound, Choice, Granularity, LayerOverride, Recipe, Step};

/// What replaces `[quantize]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices<'a> {
    /// What follows the experiment's name, after a hyphen.
    pub suffix: &'a str,
    pub recipe: Recipe,
    pub steps: &'a [Step],
    pub weights: Granularity,
    pub reduce_range: Option<bool>,
    /// How long the step `adaround` learns; of no account without it.
    pub adaround: Option<AdaRound>,
    /// All exceptions for layers, wherever they came from.
    pub layers: &'a [LayerOverride],
    /// Absent, the manifest keeps its goals.
    pub max_accuracy_drop: Option<f64>,
    /// Lines above the table, without the sign of a comment.
    pub comment: &'a [String],
}

/// The text with the choices in place of its own, its name with the suffix; all else as it was.
pub fn chosen_text(text: &str, choices: &Choices<'_>) -> Result<String, String> {
    edited(text, |document| {
        if let Some(name) = document.get("name").and_then(Item::as_str) {
            document["name"] = value(format!("{name}-{}", choices.suffix));
        }
        let old = document.remove("quantize");
        let position = old.as_ref().and_then(Item::as_table).and_then(Table::position);
        let mut quantize = Table::new();
        quantize.set_position(position);
        let comment: String = choices.comment.iter().flat_map(|line| ["# ", line, "\n"]).collect();
        quantize.decor_mut().set_prefix(format!("\n{comment}"));
        quantize["recipe"] = value(choices.recipe.word());
        let steps: Array = choices.steps.iter().map(|step| Value::from(step.word())).collect();
        quantize["steps"] = value(steps);
        if choices.weights != Granularity::PerChannel {
            quantize["weights"] = value(choices.weights.word());
        }
        if let Some(reduce_range) = choices.reduce_range {
            quantize["reduce_range"] = value(reduce_range);
        }
        // How long rounding was learned is part of its result.
        if let Some(AdaRound { iterations, max_seconds }) = choices.adaround
            && choices.steps.contains(&Step::AdaRound)
        {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let mut learning = InlineTable::new();
            learning.insert("iterations", number(iterations as u64).into());
            learning.insert("max_seconds", number(max_seconds).into());
            quantize["adaround"] = value(learning);
        }
        if !choices.layers.is_empty() {
            quantize["layer"] = Item::ArrayOfTables(choices.layers.iter().map(written).collect::<ArrayOfTables>());
        }
        document["quantize"] = Item::Table(quantize);
        if let Some(max_accuracy_drop) = choices.max_accuracy_drop {
            let goals = document.entry("goals").or_insert_with(toml_edit::table);
            let goals = goals.as_table_like_mut().ok_or("`goals` is no table")?;
            goals.insert("max_accuracy_drop", value(max_accuracy_drop));
        }
        Ok(())
    })
}

fn written(layer: &LayerOverride) -> Table {
    let LayerOverride { r#match, precision, observer, kernel } = layer;
    let mut table = Table::new();
    table["match"] = value(r#match);
    let words = [
        ("precision", precision.map(Choice::word)),
        ("observer", observer.map(Choice::word)),
        ("kernel", kernel.map(Choice::word)),
    ];
    for (key, word) in words.into_iter().filter_map(|(key, word)| Some((key, word?))) {
        table[key] = value(word);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::LayerPrecision;

    fn choices<'a>(recipe: Recipe, steps: &'a [Step], layers: &'a [LayerOverride]) -> Choices<'a> {
        Choices {
            suffix: "tuned",
            recipe,
            steps,
            weights: Granularity::PerChannel,
            reduce_range: None,
            adaround: Some(AdaRound { iterations: 9, max_seconds: 60 }),
            layers,
            max_accuracy_drop: Some(1.0),
            comment: &[],
        }
    }

    fn in_float(layer: &str) -> LayerOverride {
        LayerOverride { r#match: layer.into(), precision: Some(LayerPrecision::Fp32), observer: None, kernel: None }
    }

    #[test]
    fn only_quantize_the_name_and_the_goal_change() {
        let text = "schema = 1\nname = \"a\"    # mine\n\n[model]\npath = \"m.onnx\"\n\n[quantize]\nrecipe = \"robust\"\n\n\
                    [[variant]]\nname = \"fp32\"\n\n[goals]\nmax_accuracy_drop = 1.0    # points\n";
        let layers = [in_float("features.0.*")];
        let comment = ["Found by tuning.".to_owned()];
        let steps = [Step::Equalize];
        let choices = choices(Recipe::Mse, &steps, &layers);
        let choices = Choices { max_accuracy_drop: Some(0.5), comment: &comment, ..choices };
        let written = chosen_text(text, &choices).unwrap();
        assert!(
            written.contains("\n# Found by tuning.\n[quantize]\nrecipe = \"mse\"\nsteps = [\"equalize\"]\n"),
            "{written}"
        );
        assert!(written.contains("[[quantize.layer]]\nmatch = \"features.0.*\"\nprecision = \"fp32\"\n"), "{written}");
        assert!(written.contains("name = \"a-tuned\"") && written.contains("max_accuracy_drop = 0.5"), "{written}");
        assert!(written.find("[quantize]") < written.find("[[variant]]"), "{written}");
        assert!(written.contains("[model]\npath = \"m.onnx\"\n"), "{written}");
    }

    #[test]
    fn the_budget_of_learning_stays_where_rounding_is_learned() {
        let text = "[quantize]\nrecipe = \"mse\"\n";
        let written = |steps: &[Step]| chosen_text(text, &choices(Recipe::Mse, steps, &[])).unwrap();
        assert!(written(&[Step::AdaRound]).contains("iterations = 9"));
        assert!(!written(&[]).contains("iterations"));
    }

    #[test]
    fn whatever_form_the_tables_have_will_do() {
        let layers = [in_float("fc"), in_float("features.0")];
        let choices = choices(Recipe::Kl, &[], &layers);
        let apart = "[quantize]\nrecipe = \"fx-default\"\n\n[[quantize.layer]]\nmatch = \"fc\"\nobserver = \"mse\"\n";
        let inline = "quantize = { recipe = \"fx-default\", layer = [{ match = \"fc\", observer = \"mse\" }] }\n";
        for text in [apart, inline] {
            let written = chosen_text(&format!("{text}\n[model]\npath = \"m\"\n"), &choices).unwrap();
            let read: toml::Table = toml::from_str(&written).unwrap();
            let layers = read["quantize"]["layer"].as_array().unwrap();
            let all: Vec<_> =
                layers.iter().map(|layer| (layer["match"].as_str(), layer["precision"].as_str())).collect();
            assert_eq!(all, [(Some("fc"), Some("fp32")), (Some("features.0"), Some("fp32"))], "{written}");
            assert_eq!(read["goals"]["max_accuracy_drop"].as_float(), Some(1.0), "{written}");
            assert_eq!(read["model"]["path"].as_str(), Some("m"), "{written}");
        }
        let dos = chosen_text("name = \"a\"\r\n\r\n[quantize]\r\nrecipe = \"kl\"\r\n", &choices).unwrap();
        assert_eq!(dos.matches('\n').count(), dos.matches("\r\n").count(), "{dos:?}");
    }

    #[test]
    fn what_is_not_usual_of_a_scheme_is_written_and_goals_stay_where_none_is_given() {
        let choices = Choices {
            suffix: "remedy",
            weights: Granularity::PerTensor,
            reduce_range: Some(false),
            max_accuracy_drop: None,
            ..choices(Recipe::Percentile, &[], &[])
        };
        let text = "name = \"a\"\n\n[quantize]\nrecipe = \"robust\"\n\n[goals]\nmax_accuracy_drop = 3.0\n";
        let written: toml::Table = toml::from_str(&chosen_text(text, &choices).unwrap()).unwrap();
        let quantize = written["quantize"].as_table().unwrap();
        assert_eq!(written["name"].as_str(), Some("a-remedy"));
        assert_eq!(quantize["weights"].as_str(), Some("per-tensor"));
        assert_eq!(quantize["reduce_range"].as_bool(), Some(false));
        assert_eq!(written["goals"]["max_accuracy_drop"].as_float(), Some(3.0));
    }
}
