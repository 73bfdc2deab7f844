"""Times of TorchScript archives in turn, in one process.

    python turns.py NAME=ARCHIVE.pt[@ENGINE] ...

Archives of requant and modules that PyTorch traced and froze alike; the first is what the others are
compared with. At batch 1 and 50, 30 rounds of 60 and 6 passes, in each round all archives one after the
other; medians and fastest rounds. Set the variables that a run's report lists as kernel settings before.
"""

import sys
import time

import torch

THREADS = 2
ROUNDS = 30


def main():
    torch.set_num_threads(THREADS)
    torch._C._jit_set_profiling_mode(False)
    torch._C._jit_set_texpr_fuser_enabled(False)
    with torch.no_grad():
        for batch, passes in ((1, 60), (50, 6)):
            x = torch.randn(batch, 3, 96, 96)
            archives = {}
            for argument in sys.argv[1:]:
                name, path = argument.split("=")
                path, _, engine = path.partition("@")
                torch.backends.quantized.engine = engine = engine or "fbgemm"
                archives[name] = (torch.jit.load(path), engine, [])
            for _ in range(ROUNDS):
                for module, engine, spent in archives.values():
                    torch.backends.quantized.engine = engine
                    module(x)
                    start = time.perf_counter()
                    for _ in range(passes):
                        module(x)
                    spent.append((time.perf_counter() - start) / passes * 1e3)
            first = None
            for name, (_, _, spent) in archives.items():
                spent = sorted(spent[1:])
                median = spent[len(spent) // 2]
                first = first or (median, spent[0])
                print(f"batch {batch:2} {name:16} {median:7.3f} ms  {median / first[0]:.3f}  fastest {spent[0]:7.3f} ms  {spent[0] / first[1]:.3f}")


main()
