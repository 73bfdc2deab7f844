//! The layers a manifest is built from: built-in defaults, then the file.

use std::path::Path;

use figment::Figment;
use figment::error::{Actual, Kind};
use figment::providers::{Data, Format as _, Toml};

use super::error::nearest;
use super::{Manifest, ManifestError, Resolved, Variant, validate};
use crate::base::files;

/// The schema that [`DEFAULTS`] belong to.
pub const SCHEMA: u32 = 1;

/// What an absent key means, for ever, in a manifest with `schema = 1`.
const DEFAULTS: &str = r#"
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
rounds = 10
iterations = 10
warmup = 3
seed = 0

[goals]

[record]
logits = false

[report]
"#;

/// Reads, layers and validates a manifest.
pub fn load(path: &Path) -> Result<Resolved, ManifestError> {
    let text = files::read_text(path)?;
    let figment =
        Figment::new().merge(named(Toml::string(DEFAULTS), "default")).merge(named(Toml::string(&text), "manifest"));
    let form = |error: figment::Error| form_error(path, &error);
    let schema: u32 = figment.extract_inner("schema").map_err(form)?;
    if schema != SCHEMA {
        return Err(ManifestError::Value {
            path: path.to_owned(),
            key: "schema".into(),
            problem: format!("is {schema}, and this requant reads schema {SCHEMA}"),
            suggestion: Some(if schema > SCHEMA {
                "use a newer requant".into()
            } else {
                format!("write `schema = {SCHEMA}`")
            }),
        });
    }
    let mut manifest: Manifest = figment.extract().map_err(form)?;
    validate::check(path, &manifest)?;
    manifest.variant.iter_mut().for_each(Variant::fill_in_engine);
    Ok(Resolved::new(path, text, manifest, |key| origin(&figment, key)))
}

/// A layer under a name of our own, so that origins read well.
fn named(data: Data<Toml>, name: &'static str) -> impl figment::Provider {
    struct Named(Data<Toml>, &'static str);
    impl figment::Provider for Named {
        fn metadata(&self) -> figment::Metadata {
            figment::Metadata::named(self.1)
        }
        fn data(&self) -> figment::error::Result<figment::value::Map<figment::Profile, figment::value::Dict>> {
            self.0.data()
        }
    }
    Named(data, name)
}

fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(|| "default".to_owned(), |metadata| metadata.name.to_string())
}

fn form_error(path: &Path, error: &figment::Error) -> ManifestError {
    let key = error.path.join(".");
    let at = if key.is_empty() { String::new() } else { format!("`{key}`: ") };
    let (problem, suggestion) = match &error.kind {
        Kind::UnknownField(field, known) => unknown("key", field, known),
        Kind::UnknownVariant(word, known) => unknown("value", word, known),
        Kind::MissingField(field) => (format!("missing key `{field}`"), Some(format!("add `{field} = …`"))),
        Kind::InvalidType(actual, expected) => (format!("found {}, expected {expected}", describe(actual)), None),
        Kind::InvalidValue(actual, expected) => (format!("{} is not {expected}", describe(actual)), None),
        other => (other.to_string().trim_end().to_owned(), None),
    };
    ManifestError::Form { path: path.to_owned(), problem: format!("{at}{problem}"), suggestion }
}

fn unknown(what: &str, word: &str, known: &[&str]) -> (String, Option<String>) {
    let suggestion = match nearest(word, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("choose one of {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    };
    (format!("unknown {what} `{word}`"), Some(suggestion))
}

fn describe(actual: &Actual) -> String {
    match actual {
        Actual::Str(text) => format!("`\"{text}\"`"),
        other => other.to_string(),
    }
}
