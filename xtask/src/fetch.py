"""Helpers of `cargo xtask setup`: a failure prints one line and exits with 1."""

import hashlib
import os
import sys
import urllib.request
import zipfile


def torch_folder(version):
    """Where the torch of exactly this version lies, found without importing it."""
    from importlib import metadata, util

    try:
        found = metadata.version("torch")
    except metadata.PackageNotFoundError:
        sys.exit(print("it has no torch") or 1)
    if found.split("+")[0] != version:
        sys.exit(print(f"it has torch {found}, not {version}") or 1)
    print(os.path.dirname(util.find_spec("torch").origin))


def download(url, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with urllib.request.urlopen(url, timeout=20) as response, open(target, "wb") as out:
        announced = response.headers.get("Content-Length")
        published = response.headers.get("x-amz-meta-sha256") or response.headers.get("x-amz-meta-checksum-sha256")
        total, done, digest, shown = int(announced or 0), 0, hashlib.sha256(), -1
        while block := response.read(1 << 20):
            out.write(block)
            digest.update(block)
            done += len(block)
            percent = done * 100 // total if total else 0
            if percent // 5 != shown:
                shown = percent // 5
                print(f"  {done >> 20} of {total >> 20} MiB", file=sys.stderr)
    if total and done != total:
        sys.exit(print(f"{done} of {total} bytes arrived") or 1)
    if published and published.lower() != digest.hexdigest():
        sys.exit(print(f"SHA-256 is {digest.hexdigest()}, published is {published}") or 1)


def unpack(archive, target, *prefixes):
    with zipfile.ZipFile(archive) as opened:
        wanted = [name for name in opened.namelist() if name.startswith(prefixes)]
        # extract() itself keeps members inside the target; every member's checksum is verified.
        for name in wanted:
            opened.extract(name, target)


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    try:
        {"torch-folder": torch_folder, "download": download, "unpack": unpack}[verb](*arguments)
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(print(error) or 1)
