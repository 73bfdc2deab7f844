"""Where the time of INT8 archives goes, layer by layer, beside what the machine's arithmetic allows.

    python layers.py LAYERS.csv BATCH NAME=ARCHIVE.pt ...

LAYERS.csv is a run's; the archives are INT8 archives of the same model. Every line of an archive's
`forward` (of its `many`, where it has two ways) is run by itself, passes of all archives in turn, and
its median counts for the convolution or linear layer that it belongs to: what comes between two of
them counts for the first. The limit is a layer's products at the fastest rate that a large, well-shaped
convolution reaches here, in FP32 or INT8, whichever is faster. Set the variables that the run's report
lists as kernel settings before. Prints a Markdown table.
"""

import csv
import re
import statistics
import sys
import time
import zipfile

import torch

THREADS = 2
ROUNDS = 30


class Aten:
    """`torch` as TorchScript source means it."""

    def __getattr__(self, name):
        operator = getattr(torch.ops.aten, name)

        def call(*arguments, **named):
            arguments = [torch.quint8 if name == "quantize_per_tensor" and a is arguments[-1] else a for a in arguments]
            if "memory_format" in named:
                named["memory_format"] = torch.channels_last
            return operator(*arguments, **named)

        return call


class Self:
    """A module's attributes."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        return getattr(self.module, name)


def lines(path):
    """Pairs of the node that a line of the network is about, and the line compiled."""
    code = zipfile.ZipFile(path).read("requant/code/__torch__.py").decode()
    body = re.split(r"\n  def (?:forward|many)\(self.*?\) -> Tensor:\n", code, flags=re.S)[1]
    body = body.split("\n  def ")[0]
    out = []
    for line in body.splitlines():
        found = re.match(r"\s+([vqb])(\d+) = (.*)", line)
        if found:
            out.append((int(found[2]), compile(line.strip(), path, "exec")))
    return out


class Any:
    """A type in an annotation."""

    def __getitem__(self, kind):
        return self


def scope(module, x):
    """The names that a line of an archive uses."""
    names = {"torch": Aten(), "ops": torch.ops, "self": Self(module), "annotate": lambda kind, value: value, "x": x}
    return {**names, "List": Any(), "Optional": Any(), "number": None}


def medians(archives, x):
    scopes, times, dead = {}, {}, {}
    for name, (module, code) in archives.items():
        scopes[name] = scope(module, x)
        times[name] = [[] for _ in code]
        # What no later line reads is let go, as the interpreter does: memory is used again.
        last = {value: place for place, (_, line) in enumerate(code) for value in line.co_names}
        dead[name] = [[value for value, end in last.items() if end == place and re.fullmatch(r"[vqb]\d+", value)] for place in range(len(code))]
    for _ in range(ROUNDS):
        for name, (_, code) in archives.items():
            for place, (_, line) in enumerate(code):
                start = time.perf_counter()
                exec(line, scopes[name])
                times[name][place].append(time.perf_counter() - start)
                for gone in dead[name][place]:
                    scopes[name].pop(gone, None)
    return {name: [statistics.median(each) * 1e3 for each in times[name]] for name in archives}


def rates():
    """Products per millisecond of a large convolution of single pixels, in FP32 and INT8."""
    x = torch.randn(50, 256, 28, 28).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 1, 1) * 0.05
    products = 50 * 28 * 28 * 256 * 256
    q = torch.quantize_per_tensor(x, 0.05, 64, torch.quint8)
    per_channel = torch.quantize_per_channel(weight, torch.full((256,), 0.001), torch.zeros(256).long(), 0, torch.qint8)
    packed = {}
    for engine in ("fbgemm", "onednn"):
        torch.backends.quantized.engine = engine
        packed[engine] = torch.ops.quantized.conv2d_prepack(per_channel, torch.zeros(256), [1, 1], [0, 0], [1, 1], 1)
    torch.backends.quantized.engine = "fbgemm"
    calls = {"FP32": lambda: torch.conv2d(x, weight.contiguous(memory_format=torch.channels_last))}
    for engine, each in packed.items():
        calls[f"INT8 {engine}"] = lambda each=each: torch.ops.quantized.conv2d(q, each, 0.1, 64)
    result = {}
    for name, call in calls.items():
        call()
        spent = []
        for _ in range(10):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
        result[name] = products / (min(spent) * 1e3)
    return result


def main():
    torch.set_num_threads(THREADS)
    torch.backends.quantized.engine = "fbgemm"
    layers = list(csv.DictReader(open(sys.argv[1])))
    batch = int(sys.argv[2])
    archives = {}
    for argument in sys.argv[3:]:
        name, path = argument.split("=")
        archives[name] = (torch.jit.load(path), lines(path))
    with torch.no_grad():
        fastest = rates()
        x = torch.randn(batch, 3, 96, 96)
        spent = medians(archives, x)
        shapes = {}
        module, code = next(iter(archives.values()))
        names = scope(module, x)
        for node, line in code:
            exec(line, names)
            value = names.get(f"q{node}", names.get(f"v{node}"))
            shapes[node] = list(value.shape) if value is not None else []
    weighted = [place for place, layer in enumerate(layers) if layer["weight_shape"]]
    owner = lambda node: max((place for place in weighted if place <= node), default=weighted[0])
    best = max(fastest.values())
    rows, totals, limit_total = [], {name: 0.0 for name in archives}, 0.0
    for place in weighted:
        shape = [int(n) for n in layers[place]["weight_shape"].split("x")]
        out = next((shapes[node] for node in range(place, place + 2) if shapes.get(node)), [batch, shape[0]])
        pixels = out[2] * out[3] if len(out) == 4 else 1
        products = batch * pixels
        for n in shape:
            products *= n
        limit = products / best
        limit_total += limit
        cells = []
        for name, (_, code) in archives.items():
            own = sum(ms for (node, _), ms in zip(code, spent[name]) if owner(node) == place)
            totals[name] += own
            cells.append(f"{own:.3f}")
        rows.append(f"| {layers[place]['layer']} | {layers[place]['weight_shape']} | {products / 1e6:.1f} | {' | '.join(cells)} | {limit:.3f} |")
    print("rates, million products per ms:", {name: round(rate / 1e6, 1) for name, rate in fastest.items()}, file=sys.stderr)
    print(f"| layer | weights | million products | {' | '.join(archives)} | limit |\n|---|---|---|{'---|' * len(archives)}---|")
    print("\n".join(rows))
    print(f"| all | | | {' | '.join(f'{totals[name]:.2f}' for name in archives)} | {limit_total:.2f} |")


main()
