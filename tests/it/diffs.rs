//! What is said of two runs: golden pages of seven pairs, and laws that hold of every pair.

use std::path::PathBuf;

use lab::Bench;
use proptest::prelude::*;
use requant::base::digest::Digest;
use requant::base::files;
use requant::diff::levels::{self, Level, Likeness, Reproduction};
use requant::diff::{self, Diff, Layout, QuantityKind, Side, Standing};
use requant::manifest::Recipe;
use requant::record::answers;
use requant::record::format::{Judged, Outcome};
use requant::record::store;

fn fixture(format: &str) -> PathBuf {
    lab::root().join(format!("tests/fixtures/records/{format}.json"))
}

/// A run of the demo with its predictions.
fn demo(name: &str) -> Side {
    Side {
        name: name.to_owned(),
        record: store::read(&fixture("2.1")).unwrap(),
        answers: Some(answers::read(&lab::root().join("tests/fixtures/records/2.1")).unwrap()),
        outputs: None,
    }
}

/// The demo changed in one respect.
fn edited(edit: impl FnOnce(&mut Side)) -> Side {
    let mut side = demo("b");
    side.record.run.id = "20261125T000000Z-00000000".into();
    edit(&mut side);
    side
}

/// Puts one sample of the INT8 variant, and the record's counts with it, into another class.
fn flip(side: &mut Side, sample: usize) {
    let answers = side.answers.as_mut().unwrap();
    let label = answers.samples[sample].label.clone();
    let answer = &mut answers.variants[1].answers[sample];
    assert_eq!(answer.class, label, "the sample was right before");
    answer.class = if label == "7" { "1".to_owned() } else { "7".to_owned() };
    answer.margin = 0.125;
    let Outcome::Measured(measured) = &mut side.record.variants[1].outcome else { panic!("it was measured") };
    let Judged::Classes(own) = &mut measured.judged else { panic!("it classifies") };
    own.correct -= 1;
    own.accuracy = requant::stats::proportion::wilson(own.correct, 797).unwrap();
}

fn another_recipe(side: &mut Side) {
    let record = &mut side.record;
    record.settings.quantize.recipe = Recipe::Minmax;
    for (number, layer) in record.network.layers.iter_mut().enumerate().filter(|(number, _)| number % 9 == 1) {
        let factor = 1.0 + number as f64 / 100.0;
        layer.output.iter_mut().for_each(|output| output.scale *= factor);
        layer.weight.iter_mut().for_each(|weight| weight.sqnr_db = weight.sqnr_db.map(|db| db - 6.0));
    }
    let Outcome::Measured(measured) = &mut record.variants[1].outcome else { panic!("it was measured") };
    measured.artefact.sha256 = Digest::of(b"another");
    (0..40).filter(|n| n % 2 == 0).for_each(|n| flip(side, n));
}

fn pairs() -> Vec<(&'static str, Side)> {
    vec![
        ("identical", demo("b")),
        ("recipe", edited(another_recipe)),
        (
            "model",
            edited(|side| {
                side.record.inputs.model.sha256 = Digest::of(b"another model");
                side.record.settings.model.sha256 = Some(Digest::of(b"another model"));
            }),
        ),
        (
            "cpu",
            edited(|side| {
                side.record.host.cpu = "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz".into();
                side.record.host.isa_flags.push("amx_int8".to_owned());
                side.record.host.cores = 8;
            }),
        ),
        ("flip", edited(|side| flip(side, 12))),
        (
            "removed",
            edited(|side| {
                side.record.variants.truncate(1);
                side.record.settings.variant.truncate(1);
                side.record.goals.clear();
                side.answers.as_mut().unwrap().variants.truncate(1);
            }),
        ),
        (
            "older",
            Side { name: "b".to_owned(), record: store::read(&fixture("1.0")).unwrap(), answers: None, outputs: None },
        ),
    ]
}

/// `UPDATE_GOLDEN=1` writes them anew.
#[test]
fn seven_pairs_read_as_they_should() {
    for (name, b) in pairs() {
        let diff = Diff::of(&demo("a"), &b);
        let json = serde_json::to_string_pretty(&diff).unwrap() + "\n";
        let texts = [
            ("txt", diff::render(&diff, &levels::judge(&diff), Layout::Terminal)),
            ("md", diff::render(&diff, &[], Layout::Markdown)),
            ("json", json),
        ];
        for (extension, text) in texts {
            let path = lab::root().join(format!("tests/diffs/{name}.{extension}"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                files::write(&path, text.as_bytes()).unwrap();
            }
            assert!(files::read_text(&path).unwrap() == text, "{} is not what is said now:\n{text}", path.display());
        }
    }
}

#[test]
fn each_pair_is_judged_as_a_reproduction() {
    use Likeness::{Different, Equivalent, Identical, NotComparable};
    let expected = [
        ("identical", [Identical; 4], Reproduction::Reproduced),
        ("recipe", [Different, Different, Different, Different], Reproduction::NotReproduced),
        ("model", [Different, Identical, Identical, Identical], Reproduction::NotReproduced),
        ("cpu", [Identical; 4], Reproduction::Reproduced),
        ("flip", [Identical, Identical, Different, Equivalent], Reproduction::NotReproduced),
        ("removed", [Different; 4], Reproduction::NotReproduced),
        ("older", [Different, Identical, NotComparable, Identical], Reproduction::NotReproduced),
    ];
    for ((name, b), (same, likeness, verdict)) in pairs().into_iter().zip(expected) {
        assert_eq!(name, same);
        let judged = levels::judge(&Diff::of(&demo("a"), &b));
        let found: Vec<Likeness> = judged.iter().take(4).map(|one| one.likeness).collect();
        assert_eq!(found, likeness, "{name}: {judged:#?}");
        assert_eq!(levels::verdict(&judged, Level::Memory), verdict, "{name}: {judged:#?}");
    }
}

#[test]
fn a_level_that_is_not_asked_for_decides_nothing() {
    let judged = levels::judge(&Diff::of(&demo("a"), &edited(|side| flip(side, 12))));
    assert_eq!(levels::verdict(&judged, Level::Artefact), Reproduction::Reproduced);
    assert_eq!(levels::verdict(&judged, Level::Predictions), Reproduction::NotReproduced);
}

/// Bare metal: what stands apart is called so; a virtual machine's neighbours explain it.
#[test]
fn times_are_called_different_only_where_the_processor_is_ones_own() {
    for (shared, standing, verdict) in [
        (false, Standing::Differs, Reproduction::Inconclusive),
        (true, Standing::NotComparable, Reproduction::Reproduced),
    ] {
        let (mut a, mut b) = (demo("a"), demo("b"));
        for side in [&mut a, &mut b] {
            side.record.host.virtual_machine = shared;
        }
        let Outcome::Measured(measured) = &mut b.record.variants[1].outcome else { panic!("it was measured") };
        let slower = measured.latency[0].milliseconds.map(|ms| ms * 2.0);
        measured.latency[0].milliseconds = slower;
        let diff = Diff::of(&a, &b);
        let latency = diff.variants[1].quantities(QuantityKind::Latency).next().unwrap();
        assert_eq!(latency.standing, standing);
        assert!((latency.change.unwrap().value - 2.0).abs() < 1e-9);
        assert_eq!(diff.results_differ(), !shared);
        assert_eq!(levels::verdict(&levels::judge(&diff), Level::Memory), verdict);
    }
}

/// One of the ways in which a run may differ.
fn mutate(side: &mut Side, kind: u8, amount: u16) {
    let n = usize::from(amount);
    let record = &mut side.record;
    match kind % 8 {
        0 => record.settings.benchmark.seed = u64::from(amount),
        1 => record.inputs.model.sha256 = Digest::of(&amount.to_le_bytes()),
        2 => record.host.cores = n + 1,
        3 => record.runtime.libtorch = format!("2.{n}"),
        4 => {
            let count = record.network.layers.len();
            let layer = &mut record.network.layers[n % count];
            layer.output.iter_mut().for_each(|output| output.scale *= 1.0 + f64::from(amount) / 1e4);
        }
        5 => {
            let answers = &mut side.answers.as_mut().unwrap().variants[1].answers;
            let count = answers.len();
            answers[n % count].class = (n % 10).to_string();
        }
        6 => {
            // Earlier changes may have taken variants away.
            let Some(variant) = record.variants.get_mut(n % 2) else { return };
            let Outcome::Measured(measured) = &mut variant.outcome else { return };
            let factor = 1.0 + f64::from(amount) / 1e4;
            measured.latency[0].milliseconds = measured.latency[0].milliseconds.map(|ms| ms * factor);
        }
        _ if record.variants.len() > 1 => {
            record.variants.remove(n % record.variants.len());
        }
        _ => {}
    }
}

fn changed() -> impl Strategy<Value = Side> {
    proptest::collection::vec((any::<u8>(), any::<u16>()), 0..5).prop_map(|changes| {
        let mut side = demo("x");
        changes.into_iter().for_each(|(kind, amount)| mutate(&mut side, kind, amount));
        side
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_run_does_not_differ_from_itself(side in changed()) {
        let diff = Diff::of(&side, &side);
        prop_assert!(diff.is_empty());
        prop_assert!(!diff.results_differ());
        prop_assert!(diff::render(&diff, &[], Layout::Terminal).starts_with("No difference\n"));
    }

    #[test]
    fn a_diff_mirrors_its_reverse(a in changed(), b in changed()) {
        let (there, back) = (Diff::of(&a, &b), Diff::of(&b, &a));
        prop_assert_eq!(there.is_empty(), back.is_empty());
        prop_assert_eq!(there.results_differ(), back.results_differ());
        prop_assert_eq!(there.causes.len(), back.causes.len());
        for (x, y) in there.causes.iter().zip(&back.causes) {
            prop_assert_eq!((&x.key, &x.a, &x.b), (&y.key, &y.b, &y.a));
        }
        for (x, y) in there.layers.iter().zip(&back.layers) {
            prop_assert_eq!((&x.layer, &x.a, &x.b), (&y.layer, &y.b, &y.a));
        }
        for x in &there.variants {
            let y = back.variants.iter().find(|y| y.name == x.name).unwrap();
            prop_assert_eq!((&x.status_a, &x.status_b), (&y.status_b, &y.status_a));
            for (p, q) in x.quantities.iter().zip(&y.quantities) {
                prop_assert_eq!((&p.name, p.a, p.b, p.standing), (&q.name, q.b, q.a, q.standing));
            }
            for (p, q) in x.pairs.iter().zip(&y.pairs) {
                prop_assert_eq!(p.flips.len(), q.flips.len());
                prop_assert_eq!(p.counts.only_first, q.counts.only_second);
                prop_assert!((p.p_value - q.p_value).abs() < 1e-12);
            }
        }
    }
}

/// The same bytes under every locale, time zone, width and number of threads.
#[test]
fn what_is_printed_depends_on_the_runs_alone() {
    let bench = Bench::new();
    let reference = lab::root().join("results/digits/reference").display().to_string();
    let older = fixture("1.1").display().to_string();
    let settings: [&[(&str, &str)]; 3] = [
        &[],
        &[("LC_ALL", "de_DE.UTF-8"), ("LANG", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu"), ("COLUMNS", "40")],
        &[("LC_ALL", "C"), ("TZ", "America/St_Johns"), ("COLUMNS", "300"), ("RAYON_NUM_THREADS", "1")],
    ];
    for arguments in [
        ["diff", &reference, &older, "--format=terminal"].as_slice(),
        &["diff", &reference, &older, "--format=md"],
        &["diff", &reference, &older, "--format=json"],
        &["diff", &reference, &older, &older],
        &["report", &reference],
        &["show", &reference],
        &["verify", &reference],
    ] {
        let outputs = settings.map(|set| bench.command(arguments).envs(set.iter().copied()).output().unwrap());
        assert!(outputs[0].status.success() && !outputs[0].stdout.is_empty(), "{arguments:?}: {:?}", outputs[0]);
        assert!(outputs.iter().all(|output| output.stdout == outputs[0].stdout), "{arguments:?}");
    }
}

#[test]
fn names_cannot_command_a_terminal_and_answers_that_are_gone_are_missed() {
    let bench = Bench::new();
    let text = files::read_text(&fixture("2.1")).unwrap();
    let hostile = text.replacen("\"name\": \"int8_fbgemm_cpu\"", "\"name\": \"int8\\u001b[31m\"", 1);
    let hostile = bench.put("hostile.json", hostile.as_bytes());
    let reference = fixture("2.1").display().to_string();
    for arguments in [["diff", &reference, hostile.to_str().unwrap()].as_slice(), &["show", hostile.to_str().unwrap()]]
    {
        let ended = bench.run(arguments);
        assert!(ended.stdout.contains("int8\\u{1b}[31m") && !ended.stdout.contains('\u{1b}'), "{ended:?}");
    }
    let (mut a, b) = (demo("a"), demo("b"));
    a.answers.as_mut().unwrap().samples.pop();
    let page = diff::render(&Diff::of(&a, &b), &[], Layout::Terminal);
    assert!(page.starts_with("No difference in what can be compared\n"), "{page}");
    assert!(
        page.contains("Answers are not paired: A was judged on 796 samples and B on 797, of which 796 are the same"),
        "{page}"
    );
}

#[test]
fn nothing_run_yet_is_no_error() {
    let bench = Bench::new();
    let ended = bench.run(&["list"]);
    assert!(ended.code == Some(0) && ended.stdout == "no such runs in `results`\n", "{ended:?}");
    assert_eq!(bench.run(&["clean"]).code, Some(0));
    bench.put("experiments/e.toml", b"name = \"mine\"");
    let ended = bench.run(&["list"]);
    assert!(ended.stdout.contains("mine") && ended.stdout.contains("not run"), "{ended:?}");
    assert_eq!(bench.run(&["list", "other"]).stdout, "no such runs in `results`\n");
    bench.put("results/mine/1/record.json", &files::read(&fixture("2.1")).unwrap());
    bench.put("results/mine/2/record.json", b"{");
    let ended = bench.run(&["list"]);
    assert!(!ended.stdout.contains("not run") && ended.stdout.contains("unreadable"), "{ended:?}");
    assert_eq!(bench.run(&["list", "--verdict", "fail"]).stdout, "no such runs in `results`\n");
    assert!(bench.run(&["list", "--machine", "epyc", "--format", "json"]).stdout.contains("\"experiment\": \"mine\""));
    let ended = bench.run(&["show", "digits"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`digits` is no run"), "{ended:?}");
}

#[test]
fn check_turns_a_difference_into_an_exit_code() {
    let bench = Bench::new();
    let reference = lab::root().join("results/digits/reference").display().to_string();
    let skewed = lab::root().join("tests/fixtures/records/1.0.json").display().to_string();
    assert_eq!(bench.run(&["diff", "--check", &reference, &reference]).code, Some(0));
    assert_eq!(bench.run(&["diff", &reference, &skewed]).code, Some(0));
    let ended = bench.run(&["diff", &reference, "nothing"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("`nothing` is no run"), "{ended:?}");
    let text = files::read_text(&fixture("2.1")).unwrap();
    let failed = bench.put("failed.json", text.replace("\"verdict\": \"pass\"", "\"verdict\": \"fail\"").as_bytes());
    let ended = bench.run(&["diff", "--check", &reference, failed.to_str().unwrap()]);
    assert!(ended.code == Some(1) && ended.stdout.contains("PASS"), "{ended:?}");
}
