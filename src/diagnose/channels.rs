//! Are the channels that share one scale of like width? A tensor has one scale; a channel that reaches a
//! hundredth of its neighbours is left with a hundredth of the levels.

use super::{Case, integers_lost, some, to_equalize};
use crate::base::finding::{Finding, Verdict};
use crate::record::Record;
use crate::record::format::{Change, SpaceFacts};

/// Binary orders of magnitude between channels: MobileNetV3-Small as it was trained on two data sets reaches
/// 2.4 and 4.0; with its residual streams rescaled, which took 30 and 46 points of accuracy, 6.4 and 8.6.
const UNEQUAL: f64 = 5.0;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("channels", "Are the channels that share a scale of like width?");
    let spaces = &record.quantization.spaces;
    let Some(widest) = spaces.first() else {
        let why =
            if record.settings.record.evidence { "there are none to compare" } else { "`record.evidence` is off" };
        let evidence = format!("not looked at: {why}");
        if integers_lost(record) && !record.settings.record.evidence {
            // Accuracy was lost, and this may be why.
            case.against(Verdict::Inconclusive, evidence, "set `record.evidence = true`");
        } else {
            case.note(evidence);
        }
        return case.close();
    };
    outlying(&mut case, record, spaces);
    let unequal: Vec<&SpaceFacts> = spaces.iter().filter(|space| space.spread_log2 >= UNEQUAL).collect();
    let most = format!("{:.1} binary orders of magnitude at `{}`", widest.spread_log2, widest.layer);
    if unequal.is_empty() {
        case.note(format!("{} groups of tensors, the most unequal {most}", spaces.len()));
        case.weigh(record, &[Change::Equalize]);
        return case.close();
    }
    let names: Vec<String> = unequal.iter().map(|space| space.layer.clone()).collect();
    let evidence = format!(
        "in {} of {} groups of tensors the channels differ by {UNEQUAL} binary orders of magnitude or more, {most}: {}",
        unequal.len(),
        spaces.len(),
        some(&names)
    );
    // Unequal channels are a fault where accuracy was lost; elsewhere they are worth knowing.
    let verdict = if integers_lost(record) { Verdict::Fail } else { Verdict::Pass };
    let advice = "set `quantize.recipe = \"robust\"`, or add \"equalize\" to `quantize.steps`";
    case.against(verdict, evidence, to_equalize(record, advice));
    case.weigh(record, &[Change::Equalize]);
    case.close()
}

/// Channels far beyond the others, of which a decile shows nothing. They are a fault where accuracy was lost.
fn outlying(case: &mut Case, record: &Record, spaces: &[SpaceFacts]) {
    let mut far: Vec<&SpaceFacts> = spaces.iter().filter(|space| !space.outlying.is_empty()).collect();
    far.sort_by(|a, b| b.farthest_log2.total_cmp(&a.farthest_log2));
    let Some(farthest) = far.first() else { return };
    let names: Vec<String> = far.iter().map(|space| space.layer.clone()).collect();
    let channels: Vec<String> = farthest.outlying.iter().take(8).map(usize::to_string).collect();
    let more = if farthest.outlying.len() > channels.len() { ", …" } else { "" };
    let evidence = format!(
        "single channels reach far beyond the others in {} of {} groups of tensors ({}): at `{}` channels {}{more} of {}, up to \
         {:.1} binary orders of magnitude beyond the median one",
        far.len(),
        spaces.len(),
        some(&names),
        farthest.layer,
        channels.join(", "),
        farthest.channels,
        farthest.farthest_log2
    );
    let remedy = to_equalize(record, "add \"equalize\" to `quantize.steps`");
    if integers_lost(record) {
        case.against(Verdict::Fail, evidence, remedy);
    } else if record.attribution.is_some() {
        // Something was surely lost, if not more than a point.
        case.against(Verdict::Pass, evidence, remedy);
    } else {
        case.note(evidence);
    }
}
