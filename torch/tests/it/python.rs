use std::process::Command;

use lab::Bench;
use requant::backend::{self, Work};
use requant::manifest::{Compute, Isa};

/// Loads both archives in PyTorch, runs them on the run's own samples, and compares every logit.
const SCRIPT: &str = r"
import csv, json, struct, sys, torch
run, digits = sys.argv[1:]
torch.set_num_threads(1)
torch.backends.quantized.engine = 'fbgemm'

rows = list(csv.reader(open(digits)))[1001:]
pixels = torch.tensor([[float(v) for v in row[1:]] for row in rows]).view(-1, 1, 8, 8) / 16
x = torch.nn.functional.interpolate(pixels, size=(32, 32), mode='bilinear', align_corners=False)
x = (x.repeat(1, 3, 1, 1) - 0.5) / 0.5

def recorded(variant):
    content = open(f'{run}/logits/{variant}.safetensors', 'rb').read()
    start = 8 + struct.unpack('<Q', content[:8])[0]
    shape = json.loads(content[8:start])['logits']['shape']
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.float32).view(shape)

for variant in ('fp32_cpu', 'int8_fbgemm_cpu'):
    network = torch.jit.load(f'{run}/artefacts/{variant}.pt')
    network.save(f'{run}/../copy.pt')
    for loaded in (network, torch.jit.load(f'{run}/../copy.pt')):
        with torch.no_grad():
            logits = torch.cat([loaded(batch) for batch in x.split(32)])
        assert torch.equal(logits, recorded(variant)), variant
print('same')
";

#[test]
fn archives_load_run_save_and_load_again_in_pytorch() {
    let python = std::env::var("PYTHON_WITH_TORCH").unwrap_or_else(|_| "python3".into());
    let version = Command::new(&python).args(["-c", "import torch; print(torch.__version__)"]).output();
    let Some(version) = version.ok().filter(|output| output.status.success()) else {
        return lab::skip("no Python with torch; set PYTHON_WITH_TORCH to one");
    };
    assert!(!version.stdout.is_empty());
    let bench = Bench::new();
    bench.digits(&[("[goals]", "[record]\nlogits = true\n\n[goals]")]);
    assert_eq!(bench.run(&["run", "digits.toml"]).code, Some(0));
    let digits = lab::root().join("src/dataset/digits.csv");
    let run = bench.only_run("digits");
    let mut command = Command::new(python);
    command.arg("-c").arg(SCRIPT).arg(&run).arg(digits);
    command.envs(backend::environment(&Compute { threads: 1, isa: Isa::Avx2 }, Work::Judging));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "same", "{}", String::from_utf8_lossy(&output.stderr));
}
