//! What requant calls a difference on this machine, with whole runs and real measuring processes:
//!
//! ```text
//! cargo bench --bench noise                 all of it
//! cargo bench --bench noise -- same 40      a variant against itself, beside a background load
//! cargo bench --bench noise -- slower 10    against one that is slowed by 5 %, on the machine as it is
//! cargo bench --bench noise -- busy 20      the demo beside no, one and two busy processes, 20 times each
//! cargo bench --bench noise -- busy 20 2    beside none and two alone
//! cargo bench --bench noise -- overhead     time in the timed region that is not the network
//! ```
#![expect(clippy::print_stdout, reason = "a bench speaks")]

use std::error::Error;
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use requant::backend::{self, BackendError, Request, Session, Work};
use requant::base::digest::Digest;
use requant::base::finding::Verdict;
use requant::base::progress::Unmetered;
use requant::base::rng::Stream;
use requant::base::{clock, files};
use requant::codec::{Form, onnx, torchscript};
use requant::graph::pass;
use requant::manifest::{self, Backend, Compute, Isa, Overrides};
use requant::measure::summary::{Effect, effect};
use requant::measure::turn::{self, Inputs, Length};
use requant::stats::{Estimate, sample};
use requant::tensor::Tensor;
use requant::workbench::Surroundings;
use requant::workbench::event::{Event, Events};
use requant::{bench, pipeline};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How much slower the slowed variant is.
const SLOWDOWN: f64 = 1.05;

const COMPUTE: Compute = Compute { threads: 1, isa: Isa::Native };

fn main() -> ExitCode {
    requant_torch::install();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let count = |given: Option<&&str>, default| given.and_then(|n| n.parse().ok()).unwrap_or(default);
    let done = match words.first().copied() {
        Some("worker") => work(words.get(1) == Some(&"slowed")),
        Some("load") => load(),
        Some("spin") => spin(),
        Some("busy") => match words.get(2).and_then(|only| only.parse().ok()) {
            Some(only) => busy(count(words.get(1), 20), only..=only),
            None => busy(count(words.get(1), 20), 1..=2),
        },
        Some("same") => compare(count(words.get(1), 40), false),
        Some("slower") => compare(count(words.get(1), 10), true),
        Some("overhead") => overhead(),
        _ => compare(40, false).and_then(|()| compare(10, true)).and_then(|()| overhead()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The measuring process.
fn work(slowed: bool) -> Outcome<()> {
    let wrap = |session| if slowed { Box::new(Slowed(session)) } else { session };
    Ok(bench::serve_wrapped(std::io::stdin().lock(), std::io::stdout().lock(), &wrap)?)
}

/// A network that takes longer than it needs.
struct Slowed(Box<dyn Session>);

impl Session for Slowed {
    fn load(&mut self, input: &Tensor) -> Result<(), BackendError> {
        self.0.load(input)
    }

    fn forward(&mut self) -> Result<(), BackendError> {
        let start = clock::tick();
        self.0.forward()?;
        let until = start.elapsed().mul_f64(SLOWDOWN);
        while start.elapsed() < until {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Vec<Tensor>, BackendError> {
        self.0.outputs()
    }
}

/// A neighbour: bursts of work of up to 300 ms, and pauses as long, without end.
fn load() -> Outcome<()> {
    let mut stream = Stream::named(u64::from(std::process::id()), "load");
    loop {
        let until = clock::tick() + Duration::from_millis(stream.below(300) as u64);
        while clock::tick() < until {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(stream.below(300) as u64));
    }
}

/// A neighbour that always works.
fn spin() -> Outcome<()> {
    loop {
        std::hint::spin_loop();
    }
}

/// A process beside the measured ones that ends with its owner.
struct Neighbour(Child);

impl Neighbour {
    fn start(what: &str) -> Outcome<Self> {
        Ok(Self(Command::new(std::env::current_exe()?).arg(what).spawn()?))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Silent;

impl Events for Silent {
    fn emit(&self, _: &Event<'_>) {}
}

/// How a run of the demo ended.
struct Demo {
    verdict: Verdict,
    speedup: Option<Estimate>,
    disturbed: usize,
    turns: usize,
}

/// How far a claim may lie from what the machine at rest gives, a fraction.
const NEAR: f64 = 0.05;

/// Runs beside so many neighbours.
#[derive(Default)]
struct Beside {
    runs: usize,
    failed: usize,
    claimed: usize,
    /// Claims over the speedup of the machine at rest, less 1; of the trials in which that held still.
    away: Vec<f64>,
}

/// The demo's protocol beside neighbours that always work: whether a run fails for it, what speedups are claimed, and
/// how far they lie from those of the machine at rest. A rented machine has neighbours of its own, which nobody here
/// sees and which change its speed for minutes; so the machine is measured at rest just before and just after, and
/// where these two differ by more than a claim may, there is nothing to hold the claim against.
fn busy(count: usize, beside: RangeInclusive<usize>) -> Outcome<()> {
    let mut all: [Beside; 3] = Default::default();
    let mut before = told_demo(0, 0)?;
    for neighbours in beside.filter(|neighbours| (1..=2).contains(neighbours)) {
        for trial in 0..count {
            let run = told_demo(neighbours, trial)?;
            let after = told_demo(0, trial)?;
            let speedup = |run: &Demo| run.speedup.map(|speedup| speedup.value);
            let still = speedup(&before).zip(speedup(&after)).filter(|(one, other)| (one / other).ln().abs() <= NEAR);
            if let Some((at_rest, claim)) = still.map(|(one, other)| one.midpoint(other)).zip(speedup(&run)) {
                all[neighbours].away.push(claim / at_rest - 1.0);
            }
            all[0].away.extend(still.map(|(one, other)| one / other - 1.0));
            for (beside, run) in [(neighbours, &run), (0, &after)] {
                all[beside].runs += 1;
                all[beside].failed += usize::from(run.verdict == Verdict::Fail);
                all[beside].claimed += usize::from(run.speedup.is_some());
            }
            before = after;
        }
    }
    let measured = all.iter().enumerate().filter(|(_, beside)| beside.runs > 0);
    let broken = measured.filter(|(neighbours, beside)| !beside.holds(*neighbours)).count();
    if broken == 0 { Ok(()) } else { Err("that is not what is promised".into()) }
}

impl Beside {
    /// Prints what came out, and says whether it is what is promised.
    fn holds(&self, neighbours: usize) -> bool {
        let runs = self.runs;
        let sizes: Vec<f64> = self.away.iter().map(|away| away.abs()).collect();
        let far = sizes.iter().filter(|away| **away > NEAR).count();
        println!(
            "beside {neighbours} busy: {} of {runs} failed, {} claimed a speedup; {} of them while the machine at rest \
             held still, {far} of these more than {:.0} % away, median {:.1} %, at most {:.1} %",
            self.failed,
            self.claimed,
            sizes.len(),
            NEAR * 100.0,
            sample::median(&sizes).unwrap_or(0.0) * 100.0,
            sizes.iter().copied().fold(0.0, f64::max) * 100.0
        );
        let refused = neighbours == 1 && (runs - self.claimed) * 10 > runs;
        self.failed == 0 && far == 0 && !refused
    }
}

fn told_demo(neighbours: usize, trial: usize) -> Outcome<Demo> {
    let _neighbours = (0..neighbours).map(|_| Neighbour::start("spin")).collect::<Outcome<Vec<_>>>()?;
    let run = demo()?;
    println!("{neighbours} busy, {trial:>2}: {}", run.told());
    Ok(run)
}

impl Demo {
    fn told(&self) -> String {
        let speedup = self.speedup.map_or("not claimed".to_owned(), |speedup| {
            format!("{:.3} ({:.3} to {:.3})", speedup.value, speedup.low, speedup.high)
        });
        format!("{} {speedup}, {} of {} turns disturbed", self.verdict.word(), self.disturbed, self.turns)
    }
}

/// One run of the demo, by the program that people run, which is built beside this one.
fn demo() -> Outcome<Demo> {
    let folder = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/release/requant");
    let mut command = Command::new(program);
    command.arg("run").arg(root.join("experiments/digits.toml")).arg("--results").arg(folder.path());
    let output = command.output()?;
    let run = files::list(&folder.path().join("digits"))?
        .pop()
        .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let record = requant::record::store::read(&folder.path().join("digits").join(run).join("record.json"))?;
    let latencies: Vec<_> = record.variants.iter().filter_map(|variant| variant.measured()?.latency.first()).collect();
    Ok(Demo {
        verdict: record.verdict,
        speedup: latencies.iter().find_map(|latency| latency.speedup),
        disturbed: latencies.iter().map(|latency| latency.disturbed_turns).sum(),
        turns: latencies.iter().map(|latency| latency.turns).sum(),
    })
}

/// So many runs of one network under two names; says how often a difference is called.
fn compare(count: usize, slowed: bool) -> Outcome<()> {
    enter()?;
    let _neighbours = if slowed { None } else { Some(Neighbour::start("load")?) };
    let what = if slowed { "slowed by 5 %, machine as it is" } else { "itself, beside a background load" };
    let mut called = [0; 4];
    for trial in 0..count {
        let (speedup, judged) = one_run(trial, slowed)?;
        called[judged as usize] += 1;
        println!("{trial:>3}: {:.3} ({:.3} to {:.3}) {judged:?}", speedup.value, speedup.low, speedup.high);
    }
    println!(
        "against {what}: {} faster, {} slower, {} no difference, of {count}",
        called[Effect::Faster as usize],
        called[Effect::Slower as usize],
        called[Effect::NoDifference as usize],
    );
    // The 5 % level, and nine tenths of what is there.
    let (wrong, right) = (called[Effect::Faster as usize], called[Effect::Slower as usize]);
    let holds = if slowed { wrong == 0 && right * 10 >= count * 9 } else { (wrong + right) * 20 <= count };
    if holds { Ok(()) } else { Err("that is not what the statistics promise".into()) }
}

fn one_run(trial: usize, slowed: bool) -> Outcome<(Estimate, Effect)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("m.toml");
    files::write(&path, manifest_text(trial, slowed)?.as_bytes())?;
    let resolved = manifest::load(&path, &Overrides { environment: std::env::vars().collect(), set: Vec::new() })
        .map_err(|failure| failure.to_string())?;
    let started = std::cell::Cell::new(0);
    let own = std::env::current_exe()?;
    let worker = || {
        // Each generation starts one process per variant, in order.
        let second = started.replace(started.get() + 1) % 2 == 1;
        let mut command = Command::new(&own);
        command.args(["worker", if second && slowed { "slowed" } else { "plain" }]);
        command
    };
    let around = Surroundings {
        results: folder.path(),
        events: &Silent,
        meter: &Unmetered,
        worker: &worker,
        repeats: None,
        neighbours: None,
    };
    let finished = pipeline::run(resolved, &around).map_err(|failure| failure.to_string())?;
    let measured = finished.record.variants[1].measured().ok_or("the second variant was not measured")?;
    let speedup = measured.latency[0].speedup.ok_or("no speedup was measured")?;
    Ok((speedup, effect(speedup, finished.record.settings.benchmark.noise_floor)))
}

/// The demo's manifest with its float network twice, and the benchmark that `requant new` writes, at batch 1.
///
/// A real difference is looked for until the ratio is known to 2 %, as `requant new` asks. Beside a load that never
/// is, so a variant is held against itself for the rounds of the default.
fn manifest_text(trial: usize, until_known: bool) -> Outcome<String> {
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let text = files::read_text(&experiments.join("digits.toml"))?;
    let inputs = text.split("[quantize]").next().unwrap_or_default();
    let models = format!("path = \"{}/models/", experiments.display());
    let precision = if until_known { "precision = 0.02\n" } else { "" };
    let variant = |name| format!("[[variant]]\nname = \"{name}\"\nbackend = \"torch\"\nprecision = \"fp32\"\n");
    let (one, other) = (variant("one"), variant("other"));
    let settings = format!("[compute]\nthreads = 1\n\n[benchmark]\nbatch_sizes = [1]\n{precision}seed = {trial}\n");
    Ok(format!("{}{one}{other}{settings}", inputs.replace("path = \"models/", &models)))
}

/// Makes this process one that runs under the environment of measuring processes.
fn enter() -> Outcome<()> {
    let wanted = backend::environment(&COMPUTE, Work::Timing);
    if wanted.is_empty() {
        return Ok(());
    }
    Err(Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).envs(wanted).exec().into())
}

/// The timed region around a network that does nothing, against the smallest network of the zoo.
fn overhead() -> Outcome<()> {
    enter()?;
    backend::start(&COMPUTE)?;
    let length = Length { warmup: 200, max_warmup: 200, iterations: 5000, min_seconds: 0.5 };
    let folder = tempfile::tempdir()?;
    let input = tch::Tensor::zeros([1, 3, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
    let path = folder.path().join("nothing.pt");
    tch::CModule::create_by_tracing("nothing", "forward", std::slice::from_ref(&input), &mut |inputs| {
        vec![inputs[0].shallow_clone()]
    })?
    .save(&path)?;
    let module = tch::CModule::load(&path)?;
    let given = [tch::IValue::Tensor(input.shallow_clone())];
    let bare = median(&length, || {
        let _no_grad = tch::no_grad_guard();
        module.forward_is(&given).map(drop).map_err(|error| error.to_string())
    })?;
    let mut session = open(&files::read(&path)?)?;
    session.load(&Tensor::f32(vec![1, 3, 8, 8], vec![0.0; 192])?)?;
    let whole = median(&length, || session.forward().map_err(|error| error.to_string()))?;
    let own = (whole - bare).max(0.0);
    println!("a pass of nothing: {whole:.0} ns in the timed region, {bare:.0} ns of it the interpreter's call");

    let (smallest, name) = smallest_of_the_zoo()?;
    println!("the harness: {own:.0} ns, {:.3} % of {smallest:.0} ns (`{name}` at batch 1),", own / smallest * 100.0);
    println!("{:.4} % of 5 ms", own / 5e6 * 100.0);
    Ok(())
}

/// A pass over one input, which stays loaded.
struct Repeated<F>(F);

impl<F: FnMut() -> Result<(), String>> turn::Network for Repeated<F> {
    type Error = String;

    fn load(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn pass(&mut self) -> Result<(), String> {
        (self.0)()
    }

    fn output(&mut self) -> Result<Digest, String> {
        Ok(Digest::of(b""))
    }
}

/// Nanoseconds of a pass.
fn median(length: &Length, pass: impl FnMut() -> Result<(), String>) -> Outcome<f64> {
    let inputs = Inputs { warm_up: 0, timed: vec![0], next: 0 };
    let timed = turn::take(length, &inputs, &mut Repeated(pass))?;
    let times: Vec<f64> = timed.passes.iter().map(|pass| pass.nanoseconds as f64).collect();
    sample::median(&times).ok_or_else(|| "nothing was timed".into())
}

fn open(archive: &[u8]) -> Outcome<Box<dyn Session>> {
    Ok(backend::open(Request::float(Backend::Torch), archive)?)
}

/// Nanoseconds of the fastest network at batch 1, and its name.
fn smallest_of_the_zoo() -> Outcome<(f64, String)> {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/zoo");
    let length = Length { warmup: 20, max_warmup: 20, iterations: 100, min_seconds: 0.1 };
    let mut all = Vec::new();
    let models: Vec<PathBuf> = files::list(&zoo)?.iter().map(|name| zoo.join(name)).collect();
    for path in models.iter().filter(|path| path.extension().is_some_and(|extension| extension == "onnx")) {
        let (graph, _) = pass::run_all(onnx::read(&files::read(path)?)?.graph)?;
        let shape: Vec<usize> = std::iter::once(1).chain(graph.input_shape().ok_or("no input")?).collect();
        let mut session = open(&torchscript::write(&graph, Form::Float)?)?;
        session.load(&Tensor::f32(shape.clone(), vec![0.5; shape.iter().product()])?)?;
        let time = median(&length, || session.forward().map_err(|error| error.to_string()))?;
        all.push((time, path.file_stem().unwrap_or_default().to_string_lossy().into_owned()));
    }
    all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).ok_or_else(|| "the zoo is empty".into())
}
