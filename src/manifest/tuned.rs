//! A manifest's text with another `[quantize]` table: what tuning found, written down.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::{Choice as _, Recipe, Step};

/// What replaces `[quantize]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices<'a> {
    pub recipe: Recipe,
    pub steps: &'a [Step],
    /// Globs of layers that stay in float.
    pub float: &'a [String],
    pub max_accuracy_drop: f64,
    /// Lines above the table, without the sign of a comment.
    pub comment: &'a [String],
}

/// The text with the choices in place of its own, its name with `-tuned`; all else as it was.
pub fn tuned_text(text: &str, choices: &Choices<'_>) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    if let Some(name) = document.get("name").and_then(Item::as_str) {
        document["name"] = value(format!("{name}-tuned"));
    }
    let position = document.get("quantize").and_then(Item::as_table).and_then(Table::position);
    let mut quantize = Table::new();
    quantize.set_position(position);
    let comment: String = choices.comment.iter().map(|line| format!("# {line}\n")).collect::<Vec<_>>().concat();
    quantize.decor_mut().set_prefix(format!("\n{comment}"));
    quantize["recipe"] = value(choices.recipe.word());
    let steps: Array = choices.steps.iter().map(|step| Value::from(step.word())).collect();
    quantize["steps"] = value(steps);
    if !choices.float.is_empty() {
        let mut layers = ArrayOfTables::new();
        for pattern in choices.float {
            let mut layer = Table::new();
            layer["match"] = value(pattern);
            layer["precision"] = value("fp32");
            layers.push(layer);
        }
        quantize["layer"] = Item::ArrayOfTables(layers);
    }
    document["quantize"] = Item::Table(quantize);
    document["goals"]["max_accuracy_drop"] = value(choices.max_accuracy_drop);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quantize_the_name_and_the_goal_change() {
        let text = "schema = 1\nname = \"a\"    # mine\n\n[model]\npath = \"m.onnx\"\n\n[quantize]\nrecipe = \"robust\"\n\n\
                    [[variant]]\nname = \"fp32\"\n\n[goals]\nmax_accuracy_drop = 1.0    # points\n";
        let float = ["features.0.*".to_owned()];
        let comment = ["Found by tuning.".to_owned()];
        let steps = [Step::Equalize];
        let choices =
            Choices { recipe: Recipe::Mse, steps: &steps, float: &float, max_accuracy_drop: 0.5, comment: &comment };
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
}
