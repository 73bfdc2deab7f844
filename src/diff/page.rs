//! A diff as tables of text, and those as a terminal or a markdown page.

use super::causes::{Change, Rank};
use super::layers::{LayerChange, State};
use super::levels::Judged;
use super::results::{Flip, Quantity, QuantityKind, Standing, Status};
use super::{Diff, VariantDiff};
use crate::base::text::inline_markdown;
use crate::base::units::{self, ABSENT, counted};
use crate::stats::Estimate;

/// How a page is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Terminal,
    Markdown,
}

/// A title, sentences, and a table with its header first.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Longer lists end in a count; the JSON has all of it.
const MOST_LAYERS: usize = 12;
const MOST_FLIPS: usize = 20;

/// The whole diff; `judged` is given where B was to reproduce A.
#[must_use]
pub fn render(diff: &Diff, judged: &[Judged], layout: Layout) -> String {
    let mut sections = vec![head(diff)];
    sections.extend(levels(judged));
    sections.extend(causes(&diff.causes));
    sections.extend(judgements(diff));
    sections.extend(results(diff));
    sections.extend(diff.variants.iter().filter_map(flips));
    sections.extend(layers(&diff.layers));
    set(&sections, layout)
}

/// Sections, one after the other.
pub(super) fn set(sections: &[Section], layout: Layout) -> String {
    let one = |section: &Section| match layout {
        Layout::Terminal => terminal(section),
        Layout::Markdown => markdown(section),
    };
    sections.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn terminal(section: &Section) -> String {
    let columns = section.rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| section.rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let table_row = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let indented = section.lines.iter().cloned().chain(section.rows.iter().map(table_row));
    let indented: String = indented.flat_map(|line| ["  ".to_owned(), line, "\n".to_owned()]).collect();
    format!("{}\n{indented}", section.title)
}

fn markdown(section: &Section) -> String {
    let mut blocks = vec![format!("## {}", inline_markdown(&section.title))];
    blocks.extend(section.lines.iter().map(|line| inline_markdown(line)));
    let table_row = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().map(|cell| inline_markdown(cell)).collect();
        format!("| {} |", cells.join(" | "))
    };
    if let Some((header, rows)) = section.rows.split_first() {
        let rule = format!("|{}", "---|".repeat(header.len()));
        let lines: Vec<String> = [table_row(header), rule].into_iter().chain(rows.iter().map(table_row)).collect();
        blocks.push(lines.join("\n"));
    }
    blocks.join("\n\n") + "\n"
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn head(diff: &Diff) -> Section {
    let line =
        |letter: &str, named: &super::Named| format!("{letter}: {} ({}, {})", named.name, named.id, named.started);
    let mut lines = vec![line("A", &diff.a), line("B", &diff.b)];
    if diff.a.format != diff.b.format {
        let (a, b) = (&diff.a.format, &diff.b.format);
        lines.push(format!("records of formats {a} and {b}: what the older does not know is not compared"));
    }
    let results_shown =
        diff.variants.iter().any(|v| v.differs() || !v.is_same() || v.quantities.iter().any(Quantity::is_apart));
    if !results_shown {
        lines.extend(diff.no_pairs_because.as_ref().map(|why| format!("Answers are not paired: {why}.")));
    }
    let title = if diff.is_empty() && diff.no_pairs_because.is_some() {
        "No difference in what can be compared"
    } else if diff.is_empty() {
        "No difference"
    } else if diff.results_differ() {
        "The results differ"
    } else if diff.causes.is_empty() && diff.layers.is_empty() {
        "The same classes; margins or reasons differ"
    } else {
        "The results are the same; what they were made with differs"
    };
    Section { title: title.to_owned(), lines, rows: Vec::new() }
}

fn levels(judged: &[Judged]) -> Option<Section> {
    if judged.is_empty() {
        return None;
    }
    let mut rows = vec![row(["level", "likeness", "because"])];
    rows.extend(judged.iter().map(|one| row([one.level.word(), one.likeness.word(), &one.because])));
    Some(Section { title: "Level by level".to_owned(), rows, ..Section::default() })
}

/// Digests are shown by their beginnings.
pub(super) fn short(value: Option<&String>) -> String {
    let is_digest = |text: &str| text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value {
        None => ABSENT.to_owned(),
        Some(text) if is_digest(text) => format!("{}…", &text[..12]),
        Some(text) => text.clone(),
    }
}

fn causes(changes: &[Change]) -> Option<Section> {
    if changes.is_empty() {
        return None;
    }
    let mut rows = vec![row(["where", "what", "A", "B"])];
    for change in changes {
        let rank = match change.rank {
            Rank::Manifest => "manifest",
            Rank::Inputs => "inputs",
            Rank::Network => "network",
            Rank::Versions => "versions",
            Rank::Machine => "machine",
        };
        rows.push(row([rank, &change.key, &short(change.a.as_ref()), &short(change.b.as_ref())]));
    }
    Some(Section { title: "What may explain it, the likeliest first".to_owned(), rows, ..Section::default() })
}

fn judgements(diff: &Diff) -> Option<Section> {
    if diff.judgements.is_empty() {
        return None;
    }
    let mut rows = vec![row(["judgement", "A", "B"])];
    rows.extend(diff.judgements.iter().map(|turned| row([&turned.what, &turned.a, &turned.b])));
    Some(Section { title: "Judgements".to_owned(), rows, ..Section::default() })
}

fn results(diff: &Diff) -> Option<Section> {
    let mut rows = vec![row(["variant", "quantity", "A", "B", "change", ""])];
    for variant in &diff.variants {
        let absent = || "no such variant".to_owned();
        let word = |status: &Option<Status>| status.as_ref().map_or_else(absent, |status| status.word().to_owned());
        let (a, b) = (word(&variant.status_a), word(&variant.status_b));
        if a != b {
            rows.push(row([&variant.name, "status", &a, &b, "", "≠"]));
        } else if variant.status_a != variant.status_b {
            let whole = |status: &Option<Status>| status.as_ref().map_or_else(absent, Status::to_string);
            let (a, b) = (whole(&variant.status_a), whole(&variant.status_b));
            rows.push(row([&variant.name, "reason", &a, &b, "", "≠"]));
        }
        if variant.same_artefact == Some(false) {
            rows.push(row([&variant.name, "artefact", "", "", "other bytes", "≠"]));
        }
        if let Some(pairs) = variant.pairs.as_ref().filter(|pairs| pairs.other_margins > 0) {
            let change = format!("{} of {} in the same class", pairs.other_margins, pairs.counts.n());
            rows.push(row([&variant.name, "margins", "", "", &change, "≠"]));
        }
        if let Some(outputs) = variant.outputs.filter(|outputs| outputs.differing > 0) {
            let change = format!("for {} of {} samples", outputs.differing, outputs.samples);
            rows.push(row([&variant.name, "outputs", "", "", &change, "≠"]));
        }
        let apart = variant.quantities.iter().filter(|quantity| quantity.is_apart());
        rows.extend(apart.map(|quantity| quantity_row(&variant.name, quantity)));
    }
    let mut lines = Vec::new();
    if rows.len() > 1 {
        lines.extend(diff.no_speed_because.as_ref().map(|why| format!("Speed is not compared: {why}.")));
        lines.extend(diff.no_pairs_because.as_ref().map(|why| format!("Answers are not paired: {why}.")));
        let unsure = diff.variants.iter().flat_map(|v| &v.quantities).any(|q| q.standing == Standing::NotComparable);
        if unsure && diff.no_speed_because.is_none() {
            lines.push(
                "Times with `?` are not compared: other programs disturbed them, or share a virtual machine's processor."
                    .into(),
            );
        }
        lines.push("~ no difference beyond chance and noise floor, ≠ a difference, ? not comparable".to_owned());
    } else {
        return None;
    }
    Some(Section { title: "Results, with 95 % intervals".to_owned(), lines, rows })
}

fn quantity_row(variant: &str, quantity: &Quantity) -> Vec<String> {
    let value = |figure: f64| quantity.kind.shown(figure);
    let change = quantity.change.map_or_else(String::new, |change| {
        let Estimate { value, low, high, .. } = change;
        match quantity.kind {
            QuantityKind::Accuracy => {
                let [value, low, high] = [value, low, high].map(|fraction| units::signed(fraction * 100.0, 2));
                format!("{value} points ({low} to {high})")
            }
            QuantityKind::Sqnr => {
                let [value, low, high] = [value, low, high].map(|db| units::signed(db, 2));
                format!("{value} dB ({low} to {high})")
            }
            QuantityKind::Latency
            | QuantityKind::Speedup
            | QuantityKind::Memory
            | QuantityKind::DeviceMemory
            | QuantityKind::Size => {
                format!("{value:.2}× ({low:.2} to {high:.2})")
            }
        }
    });
    let sign = match quantity.standing {
        Standing::Same => "=",
        Standing::NoDifference => "~",
        Standing::Differs => "≠",
        Standing::NotComparable => "?",
    };
    row([variant, &quantity.name, &value(quantity.a.value), &value(quantity.b.value), &change, sign])
}

fn flips(variant: &VariantDiff) -> Option<Section> {
    let pairs = variant.pairs.as_ref().filter(|pairs| !pairs.flips.is_empty())?;
    let (counts, shown) = (&pairs.counts, pairs.flips.len().min(MOST_FLIPS));
    let mut lines = vec![format!(
        "{} of {} in another class: {} right only in A, {} right only in B; exact McNemar p {}",
        counted(pairs.flips.len(), "sample"),
        counts.n(),
        counts.only_first,
        counts.only_second,
        if pairs.p_value < 0.001 { "< 0.001".to_owned() } else { format!("= {:.3}", pairs.p_value) }
    )];
    if pairs.flips.len() > shown {
        lines.push(format!("The first {shown}; `--format json` has all."));
    }
    let mut rows = vec![row(["sample", "label", "A", "margin", "B", "margin"])];
    rows.extend(pairs.flips.iter().take(shown).map(|flip| {
        let Flip { sample, label, a, b, margin_a, margin_b } = flip;
        row([sample, label, a, &format!("{margin_a:.3}"), b, &format!("{margin_b:.3}")])
    }));
    Some(Section { title: format!("Flips of {}", variant.name), lines, rows })
}

fn layers(changes: &[LayerChange]) -> Option<Section> {
    if changes.is_empty() {
        return None;
    }
    let mut lines = vec![format!("{} differ, the farthest apart first.", counted(changes.len(), "layer"))];
    if changes.len() > MOST_LAYERS {
        lines.push(format!("The first {MOST_LAYERS}; `--format json` has all."));
    }
    let mut rows = vec![row(["layer", "form", "range", "scale", "weight SQNR"])];
    rows.extend(changes.iter().take(MOST_LAYERS).map(layer_row));
    Some(Section { title: "Layers".to_owned(), lines, rows })
}

/// Each cell is `A → B`, or the one value that both share.
fn layer_row(change: &LayerChange) -> Vec<String> {
    let cell = |show: &dyn Fn(&State) -> String| {
        let of = |state: &Option<State>| state.as_ref().map_or_else(|| "absent".to_owned(), show);
        let (a, b) = (of(&change.a), of(&change.b));
        if a == b { a } else { format!("{a} → {b}") }
    };
    let number = |value: Option<f64>| value.map_or_else(|| ABSENT.to_owned(), |value| format!("{value:.6}"));
    let form = |state: &State| format!("{} in {}", state.operator, if state.quantized { "INT8" } else { "float" });
    let observer = |state: &Option<State>| state.as_ref().and_then(|state| state.observer.clone());
    let same_observer = observer(&change.a) == observer(&change.b);
    let range = |state: &State| match state.low.zip(state.high) {
        Some((low, high)) if same_observer => format!("{low:.4} to {high:.4}"),
        Some((low, high)) => format!("{low:.4} to {high:.4} ({})", state.observer.as_deref().unwrap_or(ABSENT)),
        None => ABSENT.to_owned(),
    };
    let sqnr = |state: &State| state.sqnr_db.map_or_else(|| ABSENT.to_owned(), |db| format!("{db:.2} dB"));
    vec![change.layer.clone(), cell(&form), cell(&range), cell(&|state| number(state.scale)), cell(&sqnr)]
}
