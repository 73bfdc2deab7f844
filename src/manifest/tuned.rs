//! A manifest's text with another `[quantize]` table: what tuning found, written down.

use toml_edit::{Array, ArrayOfTables, Item, Table, Value, value};

use super::pinning::edited;
use super::{Choice, LayerOverride, Recipe, Step};

/// What replaces `[quantize]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices<'a> {
    pub recipe: Recipe,
    pub steps: &'a [Step],
    /// Exceptions for layers, after the manifest's own.
    pub layers: &'a [LayerOverride],
    pub max_accuracy_drop: f64,
    /// Lines above the table, without the sign of a comment.
    pub comment: &'a [String],
}

/// The text with the choices in place of its own, its name with `-tuned`; all else as it was, exceptions for layers
/// included.
pub fn tuned_text(text: &str, choices: &Choices<'_>) -> Result<String, String> {
    edited(text, |document| {
        if let Some(name) = document.get("name").and_then(Item::as_str) {
            document["name"] = value(format!("{name}-tuned"));
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
        // How long rounding was learned is part of what came of it.
        if let Some(learning) = old.as_ref().and_then(|old| old.get("adaround"))
            && choices.steps.contains(&Step::AdaRound)
        {
            quantize["adaround"] = learning.clone();
        }
        let mut layers = old.as_ref().map(exceptions).unwrap_or_default();
        layers.extend(choices.layers.iter().map(written));
        if !layers.is_empty() {
            quantize["layer"] = Item::ArrayOfTables(layers.into_iter().collect::<ArrayOfTables>());
        }
        document["quantize"] = Item::Table(quantize);
        let goals = document.entry("goals").or_insert_with(toml_edit::table);
        let goals = goals.as_table_like_mut().ok_or("`goals` is no table")?;
        goals.insert("max_accuracy_drop", value(choices.max_accuracy_drop));
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

/// `layer` of a `[quantize]` table, however it is written.
fn exceptions(quantize: &Item) -> Vec<Table> {
    let layers = quantize.get("layer");
    let inline = |value: &Value| value.as_inline_table().map(|table| table.clone().into_table());
    match layers {
        Some(Item::ArrayOfTables(tables)) => tables.iter().cloned().map(placed_anew).collect(),
        Some(Item::Value(Value::Array(values))) => values.iter().filter_map(inline).collect(),
        _ => Vec::new(),
    }
}

/// A table that stands wherever it is written.
fn placed_anew(mut table: Table) -> Table {
    table.set_position(None);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::LayerPrecision;

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
        let choices =
            Choices { recipe: Recipe::Mse, steps: &steps, layers: &layers, max_accuracy_drop: 0.5, comment: &comment };
        let written = tuned_text(text, &choices).unwrap();
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
        let text = "[quantize]\nrecipe = \"mse\"\nadaround = { iterations = 9 }\n";
        let written = |steps: &[Step]| {
            let choices = Choices { recipe: Recipe::Mse, steps, layers: &[], max_accuracy_drop: 1.0, comment: &[] };
            tuned_text(text, &choices).unwrap()
        };
        assert!(written(&[Step::AdaRound]).contains("iterations = 9"));
        assert!(!written(&[]).contains("iterations"));
    }

    #[test]
    fn exceptions_stay_and_whatever_form_the_tables_have_will_do() {
        let layers = [in_float("features.0")];
        let choices = Choices { recipe: Recipe::Kl, steps: &[], layers: &layers, max_accuracy_drop: 1.0, comment: &[] };
        let layers = "[quantize]\nrecipe = \"fx-default\"\n\n[[quantize.layer]]\nmatch = \"fc\"\nobserver = \"mse\"\n";
        let inline = "quantize = { recipe = \"fx-default\", layer = [{ match = \"fc\", observer = \"mse\" }] }\n";
        for text in [layers, inline] {
            let written = tuned_text(&format!("{text}\n[model]\npath = \"m\"\n"), &choices).unwrap();
            let read: toml::Table = toml::from_str(&written).unwrap();
            let layers = read["quantize"]["layer"].as_array().unwrap();
            assert_eq!(layers.len(), 2, "{written}");
            assert_eq!((layers[0]["match"].as_str(), layers[0]["observer"].as_str()), (Some("fc"), Some("mse")));
            assert_eq!(
                (layers[1]["match"].as_str(), layers[1]["precision"].as_str()),
                (Some("features.0"), Some("fp32"))
            );
            assert_eq!(read["goals"]["max_accuracy_drop"].as_float(), Some(1.0), "{written}");
            assert_eq!(read["model"]["path"].as_str(), Some("m"), "{written}");
        }
        let dos = tuned_text("name = \"a\"\r\n\r\n[quantize]\r\nrecipe = \"kl\"\r\n", &choices).unwrap();
        assert_eq!(dos.matches('\n').count(), dos.matches("\r\n").count(), "{dos:?}");
    }
}
