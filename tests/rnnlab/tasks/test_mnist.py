import gzip
import re

import numpy as np
import pytest
import torch

from rnnlab.tasks import mnist
from rnnlab.tasks.mnist import MNIST
from tests.rnnlab.tasks import idx
from tests.rnnlab.tasks.every import seeded

CUTS = {"train": ("train", 0, 50), "validation": ("train", 50, 60), "test": ("t10k", 0, 20)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The four made-up files; nothing stays in the caches."""
    for name in ("_split", "_files"):
        monkeypatch.setattr(mnist, name, getattr(mnist, name).__wrapped__)
    idx.write(tmp_path)
    return tmp_path


def task(folder, length=784, permuted=False) -> MNIST:
    return MNIST(length=length, folder=str(folder), permuted=permuted, solved_error=0.1)


def held_out(folder, split: str = "test", **changes):
    return task(folder, **changes).held_out(split, 1_000, seeded(), dtype=torch.float64)


@pytest.mark.parametrize("split", CUTS)
def test_held_out_samples_are_the_images_of_the_split_row_by_row_with_their_labels(folder, split):
    part, start, stop = CUTS[split]
    images, labels = (idx.content()[f"{part}-{kind}-ubyte"] for kind in ("images-idx3", "labels-idx1"))
    x, y, *_ = held_out(folder, split)
    assert y.tolist() == labels[start:stop].tolist()
    assert x.shape == (784, stop - start, 1)
    for b in range(stop - start):
        assert np.rint(255 * x[:, b, 0].numpy()).reshape(28, 28).tolist() == images[start + b].tolist()
    assert x.max() == 1
    assert x.min() == 0


@pytest.mark.parametrize("split", CUTS)
def test_draws_come_from_their_split_with_the_label_of_the_image(folder, split):
    everything = held_out(folder, split)
    known = {(everything.x[:, b].numpy().tobytes(), int(everything.y[b])) for b in range(len(everything.y))}
    x, y, *_ = task(folder).draw(split, 1_000, seeded(), dtype=torch.float64)
    assert {(x[:, b].numpy().tobytes(), int(y[b])) for b in range(1_000)} == known  # one is missed with 50 e^-20


def test_permuted_pixels_are_those_of_the_image_in_one_random_order_and_blanks_follow(folder):
    plain, other = held_out(folder), held_out(folder, length=790, permuted=True)
    order = np.random.RandomState(0).permutation(784)
    for t in range(784):
        assert torch.equal(other.x[t], plain.x[order[t]])
    assert other.x[784:].shape[0] == 6
    assert other.x[784:].abs().sum() == 0


def test_packed_files_and_a_mixture_are_read_alike(folder, tmp_path_factory):
    packed = tmp_path_factory.mktemp("packed")
    idx.write(packed, packed=True)
    mixed = tmp_path_factory.mktemp("mixed")
    idx.write(mixed, packed=True)
    name = "t10k-labels-idx1-ubyte"
    (mixed / f"{name}.gz").unlink()
    (mixed / name).write_bytes((folder / name).read_bytes())
    for split in CUTS:
        x, y, *_ = held_out(folder, split)
        for other in (packed, mixed):
            assert torch.equal(held_out(other, split).x, x)
            assert torch.equal(held_out(other, split).y, y)


def test_the_files_are_read_once(folder, monkeypatch):
    monkeypatch.undo()
    mnist._split.cache_clear()
    assert mnist._split("test", str(folder)) is mnist._split("test", str(folder))
    mnist._split.cache_clear()
    mnist._files.cache_clear()


def test_missing_files_are_named_with_where_to_put_them(folder):
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        (folder / name).unlink()
    place = re.escape(repr(str(folder)))
    with pytest.raises(
        FileNotFoundError,
        match=rf"^mnist needs its four files, .* in the folder {place}; train-labels-idx1-ubyte, "
        r"t10k-images-idx3-ubyte could not be found there\. No package has them: download them .* task\.folder=FOLDER$",
    ):
        held_out(folder)


def images(count: int, side: int = 28) -> np.ndarray:
    return np.zeros((count, side, side))


NAME = "t10k-images-idx3-ubyte"
WHOLE = idx.idx(images(20))


@pytest.mark.parametrize(
    "content",
    [WHOLE[:-1], WHOLE + b"0", WHOLE[:5], b"", idx.idx(images(20, 27)), idx.idx(np.zeros(20)), b"<html>" + WHOLE[6:]],
    ids=["cut", "longer", "head", "empty", "27 x 27", "labels", "page"],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(folder, content):
    (folder / NAME).write_bytes(content)
    wanted = rf"^mnist needs {NAME} to be an IDX file of N x 28 x 28 bytes, got {len(content)} other bytes$"
    with pytest.raises(ValueError, match=wanted):
        held_out(folder)


def test_as_many_labels_as_images_are_needed(folder):
    (folder / NAME).write_bytes(idx.idx(images(19)))
    with pytest.raises(ValueError, match=r"^mnist needs 19 labels in t10k-labels-idx1-ubyte, .*, got 20$"):
        held_out(folder)


@pytest.mark.parametrize("content", [gzip.compress(WHOLE)[:-9], WHOLE, b""], ids=["cut", "not packed", "empty"])
def test_a_packed_file_that_is_not_whole_is_refused(folder, content):
    (folder / NAME).unlink()
    (folder / f"{NAME}.gz").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^mnist needs {NAME}"):
        held_out(folder)


def test_it_is_solved_strictly_below_its_error(folder):
    assert task(folder).solved({"loss": 1.0, "error": 0.099})
    assert not task(folder).solved({"loss": 0.0, "error": 0.1})


@pytest.mark.usefixtures("as_a_user")
def test_wrong_settings_are_refused_before_any_file_is_looked_for(tmp_path):
    with pytest.raises(ValueError, match=r"^mnist needs length >= 784 to show every pixel, got 783$"):
        task(tmp_path / "nowhere", 783)
    with pytest.raises(ValueError, match=r"^mnist needs permuted to be true or false, got 1$"):
        task(tmp_path / "nowhere", permuted=1)
