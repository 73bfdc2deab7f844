use std::process::Command;

use crate::lab::{self, Bench};

/// Loads both archives in PyTorch, runs them on the run's own samples, and compares the classes.
const SCRIPT: &str = r"
import csv, sys, torch
run, test = sys.argv[1:]
torch.set_num_threads(1)
rows = list(csv.reader(open(test)))[1001:]
pixels = torch.tensor([[float(v) for v in row[1:]] for row in rows]).view(-1, 1, 8, 8) / 16
x = torch.nn.functional.interpolate(pixels, size=(32, 32), mode='bilinear', align_corners=False)
x = (x.repeat(1, 3, 1, 1) - 0.5) / 0.5
predictions = list(csv.DictReader(open(run + '/predictions.csv')))
for variant in ('fp32_cpu', 'int8_fbgemm_cpu'):
    torch.backends.quantized.engine = 'fbgemm'
    network = torch.jit.load(f'{run}/artefacts/{variant}.pt')
    with torch.no_grad():
        logits = torch.cat([network(batch) for batch in x.split(32)])
    expected = [int(row['predicted']) for row in predictions if row['variant'] == variant]
    assert logits.argmax(1).tolist() == expected, variant
    copy = run + '/../copy.pt'
    network.save(copy)
    with torch.no_grad():
        assert torch.equal(torch.jit.load(copy)(x[:32]), network(x[:32])), variant
print('same')
";

#[test]
fn archives_load_run_save_and_load_again_in_pytorch() {
    let python = std::env::var("REQUANT_PYTHON").unwrap_or_else(|_| "python3".into());
    let version = Command::new(&python).args(["-c", "import torch; print(torch.__version__)"]).output();
    let Some(version) = version.ok().filter(|output| output.status.success()) else {
        return lab::skip("no Python with torch; set REQUANT_PYTHON to one");
    };
    assert!(!version.stdout.is_empty());
    let bench = Bench::new();
    bench.digits(&[]);
    assert_eq!(bench.run(&["run", "digits.toml"]).code, Some(0));
    let digits = lab::root().join("src/dataset/digits.csv");
    let run = bench.only_run("digits");
    let mut command = Command::new(python);
    command.arg("-c").arg(SCRIPT).arg(&run).arg(digits);
    command
        .env("ATEN_CPU_CAPABILITY", "avx2")
        .env("ONEDNN_MAX_CPU_ISA", "AVX2")
        .env("FBGEMM_ENABLE_INSTRUCTIONS", "AVX2");
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "same", "{}", String::from_utf8_lossy(&output.stderr));
}
