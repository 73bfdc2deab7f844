"""The reference experiment as a script would do it: FX graph mode PTQ of MobileNetV3-Small.

    python ptq.py WEIGHTS.onnx IMAGES CALIBRATION.txt EVALUATION.txt [PASSES [FROZEN.pt]]

WEIGHTS is the ONNX file that the manifest pins; its initializers carry PyTorch's parameter names.
IMAGES is the data set's tar, extracted. The two lists are `subsets/*.txt` of a run of requant, so
that both sides see the same samples. PASSES (3) is how often each model is timed over the whole
evaluation set, loading included, as the report that requant grew out of did. FROZEN.pt gets the converted module
traced and frozen, for `turns.py`.

Prints one JSON object: what came out, and the seconds of each part.
"""

import json
import statistics
import sys
import time

STARTED = time.perf_counter()

import numpy
import onnx
import torch
from PIL import Image
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import mobilenet_v3_small

BATCH = 50
THREADS = 2


class Listed(Dataset):
    """Images of `root` named by a list of `split/class/file` lines."""

    def __init__(self, root, listing):
        self.paths = [f"{root}/{line}" for line in open(listing).read().split()]
        self.classes = sorted({path.split("/")[-2] for path in self.paths})
        self.transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.Resize((96, 96), antialias=True),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        image = self.transform(Image.open(path).convert("RGB"))
        return image, self.classes.index(path.split("/")[-2])


def load(path):
    model = mobilenet_v3_small(num_classes=10)
    tensors = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer}
    state = model.state_dict()
    missing = [name for name in state if name not in tensors and not name.endswith("num_batches_tracked")]
    if missing:
        sys.exit(f"{path} does not carry {missing[:3]}")
    model.load_state_dict({name: tensors.get(name, value) for name, value in state.items()})
    return model.eval()


def one_pass(model, loader):
    """Right answers, seconds in the model, and seconds in all."""
    right, inside, began = 0, 0.0, time.perf_counter()
    with torch.no_grad():
        for images, labels in loader:
            start = time.perf_counter()
            output = model(images)
            inside += time.perf_counter() - start
            right += int((output.argmax(1) == labels).sum())
    return right, inside, time.perf_counter() - began


def main():
    weights, root, calibration, evaluation = sys.argv[1:5]
    passes = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    torch.set_num_threads(THREADS)
    seconds = {"import": time.perf_counter() - STARTED}

    start = time.perf_counter()
    model = load(weights)
    example = torch.zeros(1, 3, 96, 96)
    prepared = prepare_fx(model, get_default_qconfig_mapping("fbgemm"), (example,))
    with torch.no_grad():
        for images, _ in DataLoader(Listed(root, calibration), batch_size=32):
            prepared(images)
    quantized = convert_fx(prepared)
    if len(sys.argv) > 6:
        torch.backends.quantized.engine = "fbgemm"
        torch.jit.freeze(torch.jit.trace(quantized, example).eval()).save(sys.argv[6])
    seconds["calibrate"] = time.perf_counter() - start

    result = {}
    loader = DataLoader(Listed(root, evaluation), batch_size=BATCH)
    for name, network in [("fp32", model), ("int8", quantized)]:
        start = time.perf_counter()
        runs = [one_pass(network, loader) for _ in range(passes)]
        seconds[name] = time.perf_counter() - start
        result[name] = {"right": runs[0][0], "batch_ms": statistics.median(r[1] for r in runs) * 1e3 / len(loader)}
    seconds["all"] = time.perf_counter() - STARTED
    print(json.dumps({"samples": len(loader.dataset), **result, "seconds": seconds}))


main()
