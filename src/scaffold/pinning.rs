//! Writing digests into a manifest's text, with its comments and layout left as they are.

use toml_edit::{Decor, Item, Value};

use crate::base::digest::Digest;
use crate::document::edited;

/// A digest and the key that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// A dotted path; numbers index arrays of tables.
    pub key: String,
    pub digest: Digest,
}

/// The text with every pin set: a wrong one is replaced where it stands, a missing one is added to
/// the end of its table. Fails, with the reason, where the text is not TOML or has no such table.
pub fn pinned_text(text: &str, pins: &[Pin]) -> Result<String, String> {
    edited(text, |document| {
        for pin in pins {
            let names: Vec<&str> = pin.key.split('.').collect();
            let (last, tables) = names.split_last().ok_or("an empty key")?;
            let table = tables
                .iter()
                .try_fold(document.as_item_mut(), |item, name| step(item, name))
                .filter(|item| item.is_table_like())
                .ok_or_else(|| format!("there is no table for `{}`", pin.key))?;
            set(table, last, &pin.digest.to_string());
        }
        Ok(())
    })
}

fn step<'a>(item: &'a mut Item, name: &str) -> Option<&'a mut Item> {
    match name.parse::<usize>() {
        Ok(position) => item.get_mut(position),
        Err(_) if item.as_table_like()?.contains_key(name) => item.get_mut(name),
        Err(_) => {
            item.as_table_like_mut()?.insert(name, toml_edit::table());
            item.get_mut(name)
        }
    }
}

fn set(table: &mut Item, key: &str, digest: &str) {
    if let Some(value) = table.get_mut(key).and_then(Item::as_value_mut) {
        let decor = value.decor().clone();
        *value = Value::from(digest);
        *value.decor_mut() = decor;
    } else if let Some(inline) = table.as_inline_table_mut() {
        // The space before the brace belongs to the last value, whoever that is.
        let last = inline.iter_mut().last().map(|(_, value)| value.decor_mut());
        let suffix = last.map(|decor| std::mem::replace(decor, Decor::new(" ", "")).suffix().cloned());
        inline.insert(key, Value::from(digest).decorated(" ", suffix.flatten().unwrap_or_default()));
    } else if let Some(table) = table.as_table_like_mut() {
        table.insert(key, toml_edit::value(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_layout_survive_and_absent_pins_are_added() {
        let text = "# top\n[model]\npath = \"m\"   # where\n\n[dataset]\nsha256 = \"old\"    # pinned\nsource = { url = \"u\", sha256 = \"x\" }\n\n# first\n[[variant]]\nname = \"a\"\n\n[[variant]]\nname = \"b\" # second\n";
        let digest = Digest::of(b"");
        let keys = ["model.sha256", "dataset.sha256", "dataset.source.sha256", "variant.1.sha256", "report.sha256"];
        let pins: Vec<Pin> = keys.map(|key| Pin { key: key.into(), digest }).into();
        let pinned = pinned_text(text, &pins).unwrap();
        let wanted = "# top\n[model]\npath = \"m\"   # where\nsha256 = \"D\"\n\n[dataset]\nsha256 = \"D\"    # pinned\nsource = { url = \"u\", sha256 = \"D\" }\n\n# first\n[[variant]]\nname = \"a\"\n\n[[variant]]\nname = \"b\" # second\nsha256 = \"D\"\n\n[report]\nsha256 = \"D\"\n";
        assert_eq!(pinned, wanted.replace('D', &digest.to_string()));
        assert_eq!(pinned_text(&pinned, &pins).unwrap(), pinned, "once is enough");
        let dos = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(pinned_text(&dos, &pins).unwrap(), format!("\u{feff}{}", pinned.replace('\n', "\r\n")));
        let inline = pinned_text("model = { path = \"m\" }\nvariant = [{ name = \"a\" }]\n", &pins[..1]).unwrap();
        assert_eq!(
            inline,
            format!("model = {{ path = \"m\", sha256 = \"{digest}\" }}\nvariant = [{{ name = \"a\" }}]\n")
        );
        let item = [Pin { key: "variant.0.sha256".into(), digest }];
        let inline = pinned_text("variant = [{ name = \"a\" }]", &item).unwrap();
        assert_eq!(inline, format!("variant = [{{ name = \"a\", sha256 = \"{digest}\" }}]\n"));
        assert!(pinned_text("[model", &pins).is_err());
        assert!(pinned_text("model = 3", &pins).is_err());
    }
}
