"""Images to tensors: requant beside PyTorch's DataLoader and beside Pillow, in turn.

    cargo bench --bench pixels --no-run          # prints the program's path
    python benches/peer/pixels.py PROGRAM [PAIRS]

Makes 256 JPEGs of 500 × 375 pixels. Needs torch, torchvision, Pillow and numpy. The DataLoader has two workers, batches of 32, and the
transforms of torchvision's presets: Resize(256), CenterCrop(224), ToTensor, Normalize. Prints medians of the ratios.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

RESIZE = [transforms.Resize(256), transforms.CenterCrop(224)]
NORMALIZE = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


class Files(torch.utils.data.Dataset):
    def __init__(self, folder, rounds):
        self.files = sorted(folder.iterdir()) * rounds
        self.transform = transforms.Compose(RESIZE + NORMALIZE)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, at):
        return self.transform(Image.open(self.files[at]).convert("RGB"))


def make(folder):
    random = np.random.default_rng(5)
    for number in range(256):
        small = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        noise = random.normal(0, 6, (375, 500, 3))
        picture = np.clip(np.asarray(small.resize((500, 375), Image.BICUBIC)) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:03}.jpg", quality=85)


def loader(folder):
    """Images per second after the workers have started."""
    batches = iter(torch.utils.data.DataLoader(Files(folder, 6), batch_size=32, num_workers=2))
    next(batches)
    start, images = time.perf_counter(), 0
    for batch in batches:
        images += len(batch)
    return images / (time.perf_counter() - start)


def timed(body, seconds=2.0):
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        body()
        calls += 1
    return (time.perf_counter() - start) * 1e3 / calls


def pillow(folder):
    """Milliseconds for an image on one thread: decoded, and made a tensor."""
    files = sorted(folder.iterdir())
    at = iter(files * 1000)
    decode = timed(lambda: Image.open(next(at)).convert("RGB"))
    image = Image.open(files[0]).convert("RGB")
    whole = transforms.Compose(RESIZE + NORMALIZE)
    only = transforms.Compose(RESIZE)
    return decode, timed(lambda: whole(image)), timed(lambda: only(image))


def main():
    torch.set_num_threads(1)
    program, pairs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        for _ in range(pairs):
            ours = json.loads(subprocess.run([program, name], capture_output=True, text=True, check=True).stdout)
            theirs, (decode, whole, only) = loader(folder), pillow(folder)
            rows.append({
                "images per second / DataLoader": ours["tensors"] / theirs,
                "decode, one thread, / Pillow": ours["decode_ms"] / decode,
                "resize to tensor, one thread, / torchvision": ours["resize_ms"] / whole,
                "resize to tensor / Pillow's resize and crop alone": ours["resize_ms"] / only,
                "tensors / decoded alone": ours["tensors"] / ours["decoded"],
                "images per second": ours["tensors"],
                "DataLoader's": theirs,
            })
    for key in rows[0]:
        values = sorted(row[key] for row in rows)
        print(f"{key}: {statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})")


if __name__ == "__main__":
    main()
