"""From a tunebook to batches, on a book that is fabricated; and the figures of the real one, where it was rebuilt."""

import hashlib
import math
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.base import UNSCORED
from rnnlab.tasks.data import abc, rebuild, tunebook
from rnnlab.tasks.tunes import Tunes
from tests.rnnlab.tasks import fiddle
from tests.rnnlab.tasks.every import noise, seeded

SPLITS = ("train", "validation", "test")
README = (data.FOLDER / "README.md").read_text()


def tunes(length=250, reduction="mean") -> Tunes:
    return Tunes(length=length, reduction=reduction, solved_nats=1.0)


def headed(body: str, genre="reel", number=1) -> str:
    return f"X:{number}\nT:x\nR: {genre}\nM:C\nL:1/8\nK:C\n{body}"


def spoken(split: str) -> list[tuple[str, list[str]]]:
    """Genre and tokens of each tune of a split whose tokens all occur in training, by plain loops over the book."""
    found = [(abc.field(tune, "R"), abc.tokens(tune)) for tune in abc.tunes(fiddle.book(100).replace("=20", " "))]
    order = data.load("tunes")["order"].tolist()
    cuts = {"train": (0, 60), "validation": (60, 80), "test": (80, 100)}
    known = {token for k in order[:60] for token in found[k][1]}
    return [found[k] for k in order[slice(*cuts[split])] if set(found[k][1]) <= known]


@pytest.mark.parametrize("split", SPLITS)
def test_a_batch_says_the_genre_and_then_the_tune_and_asks_for_the_tune_and_the_stop(split):
    task = tunes()
    x, y, lengths, _ = task.held_out(split, 1000, seeded())
    expected = spoken(split)
    assert len(expected) == x.shape[1] > 8
    for k, (genre, tokens) in enumerate(expected):
        n = lengths[k].item()
        assert x[0, k] == task.genre(genre)
        assert [task.vocabulary[token] for token in x[1:n, k].tolist()] == tokens
        assert [task.vocabulary[token] for token in y[:n, k].tolist()] == [*tokens, ""]
        assert y[n - 1, k] == 0
        assert not x[n:, k].any()
        assert y[n:, k].eq(UNSCORED).all()
    assert task.held_out(split, 3, seeded()).y.equal(y[:, :3])


def test_the_vocabulary_is_that_of_the_training_tunes_and_what_is_beyond_it_is_left_out():
    task = tunes()
    train = {token for _, tokens in spoken("train") for token in tokens}
    assert task.vocabulary[0] == ""
    assert sorted(train) == list(task.vocabulary[1:])
    assert (task.outputs, task.inputs) == (len(train) + 1, len(train) + 5)
    everything = {token for tune in abc.tunes(fiddle.book(100)) for token in abc.tokens(tune)}
    assert len(everything) > len(train)  # else this book would not show it
    assert sum(len(spoken(split)) for split in SPLITS) < 100


def test_tunes_that_do_not_fit_are_left_out_and_the_vocabulary_stays():
    lengths = tunes().held_out("train", 1000, seeded()).lengths
    middle = int(lengths.median())
    x, _, kept, _ = tunes(middle).held_out("train", 1000, seeded())
    assert kept.tolist() == [n for n in lengths.tolist() if n <= middle]
    assert x.shape == (middle, len(kept))
    assert tunes(middle).vocabulary == tunes().vocabulary


def test_every_tune_of_the_training_split_is_drawn_equally_often():
    task = tunes()
    all_of_them = {column.numpy().tobytes(): k for k, column in enumerate(task.held_out("train", 1000, seeded()).y.T)}
    draws = 6000
    drawn = Counter(all_of_them[column.numpy().tobytes()] for column in task.draw("train", draws, seeded(1)).y.T)
    counts = [drawn[k] for k in range(len(all_of_them))]
    # chi squared has mean n - 1 and variance 2 (n - 1): within 4 standard deviations, a tune 1.8 times as likely shows
    chi = sum((count - draws / len(counts)) ** 2 for count in counts) / (draws / len(counts))
    assert abs(chi - len(counts) + 1) < 4 * math.sqrt(2 * len(counts))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_chance_is_the_loss_of_the_best_fixed_distribution_on_the_test_split(reduction):
    task = tunes(reduction=reduction)
    _, y, lengths, _ = task.held_out("test", 1000, seeded())
    logits = torch.zeros(task.outputs, requires_grad=True)

    def loss() -> torch.Tensor:
        return task.sample_losses(task.losses(logits.expand(*y.shape, -1), y), y).mean()

    share = torch.zeros(task.outputs)
    for k, n in enumerate(lengths.tolist()):
        for token in y[:n, k].tolist():
            share[token] += 1 / n if reduction == "mean" else 1
    with torch.no_grad():
        logits.copy_((share / share.sum()).log().clamp_min(-60))  # e^-60 for a token that does not occur
    assert loss().item() == pytest.approx(task.chance_loss, rel=1e-12)  # rounding of a float64 sum
    (slope,) = torch.autograd.grad(loss(), logits)
    assert slope.abs().max() < 1e-12 * task.chance_loss  # no other distribution does better


def test_nats_per_token_weight_every_token_alike():
    task = tunes()
    _, y, lengths, _ = task.held_out("test", 5, seeded())
    outputs = noise(task, y)
    logs = outputs.log_softmax(-1)
    total = sum(-logs[t, k, y[t, k]].item() for k, n in enumerate(lengths.tolist()) for t in range(n))
    metrics = task.metrics(outputs, y)
    assert metrics["nats_per_token"] == pytest.approx(total / lengths.sum().item(), rel=1e-12)  # rounding
    assert metrics["nats_per_token"] != pytest.approx(metrics["loss"], rel=1e-6)
    assert task.solved(metrics | {"nats_per_token": 0.99})
    assert not task.solved(metrics | {"nats_per_token": 1.0})


def test_a_genre_is_one_of_four():
    with pytest.raises(
        ValueError, match=r"^tunes needs genre to be one of reel, hornpipe, jig, strathspey, got 'polka'$"
    ):
        tunes().genre("polka")


def test_a_length_that_no_tune_fits_is_refused():
    shortest = max(tunes().held_out(split, 1000, seeded()).lengths.min().item() for split in SPLITS)
    tunes(shortest).held_out("validation", 1, seeded())
    with pytest.raises(ValueError, match=rf"^tunes needs length >= {shortest} for a tune of each split to fit, got 9$"):
        tunes(9)


def test_without_the_tunes_the_task_says_the_one_command_that_makes_them(monkeypatch, tmp_path):
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path))
    command = "python -m rnnlab.tasks.data.rebuild tunes"
    with pytest.raises(FileNotFoundError, match=rf"tunes\.npz is missing; rebuild it with: {command}$"):
        data.load.__wrapped__("tunes")


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"RNNLAB_DATA": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/rnnlab/data"),
        ({}, str(Path.home() / ".cache/rnnlab/data")),
    ],
)
def test_where_a_users_own_data_sets_are(monkeypatch, variables, folder):
    for name in ("RNNLAB_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert data.own_folder() == Path(folder)


def test_the_rebuild_reads_a_folder_of_a_wheel_and_writes_where_the_reader_looks(monkeypatch, tmp_path, capsys):
    """The whole path but the download: a wheel of fabricated tunes, their hash, the arrays, the file, the reader."""
    book = abc.tunes(fiddle.book(20, seed=3))
    files = {f"music21/corpus/ryansMammoth/{k:02}.abc": tune for k, tune in enumerate(book)}

    def download(command, **options):
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some.whl", "w") as wheel:
            for name in reversed(files):
                wheel.writestr(name, files[name])
            wheel.writestr("music21/corpus/other.abc", "X:1\nT:Not one of them")

    sha256 = hashlib.sha256("\n\n".join(files.values()).encode()).hexdigest()
    source = rebuild.UNSHIPPED["tunes"]._replace(sha256=sha256)
    monkeypatch.setattr(rebuild.subprocess, "run", download)
    monkeypatch.setitem(rebuild.UNSHIPPED, "tunes", source)
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "new" / "folder"))
    rebuild.main(["tunes"])
    arrays = data.load.__wrapped__("tunes")
    ends = arrays["lengths"].cumsum()
    first = arrays["spellings"][arrays["tokens"][: ends[0]]]
    assert first.tolist() == abc.tokens(book[0])
    assert [tunebook.GENRES[g] for g in arrays["genres"]] == [abc.field(tune, "R") for tune in book]
    content = (tmp_path / "new" / "folder" / "tunes.npz").read_bytes()
    assert capsys.readouterr().out.startswith(hashlib.sha256(content).hexdigest())


def test_the_rebuild_names_what_it_can_rebuild(capsys):
    with pytest.raises(SystemExit):
        rebuild.main(["digits", "tune"])
    assert "NAME needs to be one of digits, " in (said := capsys.readouterr().err)
    assert said.rstrip().endswith("tunes, got tune")


def test_tunes_of_another_genre_or_that_cannot_be_read_or_stand_there_twice_are_left_out():
    book = [
        headed("ABcd|"),
        headed("ABcd|", "REEL", 2),
        headed("ABcd|", "clog"),
        headed("AB+cd|"),
        headed('"4"AB=\n(c=20\nd)=3DB|', "strathspey"),
    ]
    found = list(tunebook.readable("\n\n".join(book)))
    assert found == [
        ("reel", [*["M:C", "L:1/8", "K:C", "A", "B", "c", "d", "|"]]),
        ("strathspey", ["M:C", "L:1/8", "K:C", "A", "B", "c", "d", "=B", "|"]),
    ]


def test_variants_share_half_of_their_different_bars():
    def bars(*names: str) -> set[tuple[str, ...]]:
        return {(name,) for name in names}

    tunes = [bars(*"abcd"), bars(*"efgh"), bars("c", "d", *"ijkl"), bars(*"ijkmnopq"), bars("e", *"rst"), bars("m")]
    # 0 and 2 share c and d, half of the shorter; 2 and 3 i, j and k, half of it; 1 and 4 only e; 5 is all in 3
    assert tunebook.families(tunes) == [[0, 2, 3, 5], [1], [4]]
    assert tunebook.bars(abc.tokens(headed("GABc|GABc:|[1d4 A|BcdeA|]"))) == {tuple("GABc"), tuple("BcdeA")}


def test_no_part_cuts_a_family_and_every_tune_is_in_one():
    def tune(*bars: str) -> list[str]:
        return [*"MLK", *(token for bar in bars for token in [*(f"{note}{bar}" for note in "ABcd"), "|"])]

    triples = [tune(f"common {k}", f"{k} {j}") for k in range(7) for j in range(3)]
    both = triples + [tune(f"alone {k}") for k in range(9)]
    order = tunebook.order(both)
    assert sorted(order) == list(range(30))
    assert order != list(range(30))
    part = {k: split for split in SPLITS for k in order[data.part(split, 30)]}
    for k in range(7):
        assert part[3 * k] == part[3 * k + 1] == part[3 * k + 2]
    assert len({part[3 * k] for k in range(7)}) == 3


REAL = data.own_folder() / "tunes.npz"  # asked before the fixture of the session points elsewhere


@pytest.mark.skipif(not REAL.is_file(), reason="needs python -m rnnlab.tasks.data.rebuild tunes")
def test_the_real_tunes_are_those_of_the_readme():
    assert f"| `tunes.npz` | `{hashlib.sha256(REAL.read_bytes()).hexdigest()}` |" in README
    with np.load(REAL) as arrays:
        assert len(arrays["lengths"]) == 947
        assert np.bincount(arrays["genres"]).tolist() == [429, 244, 226, 48]
        assert arrays["lengths"].sum() == 135_601
        assert [arrays["lengths"].min(), np.median(arrays["lengths"]), arrays["lengths"].max()] == [58, 140, 559]
        first = np.split(arrays["spellings"][arrays["tokens"]], arrays["lengths"].astype(int).cumsum()[:-1])[1]
    assert " ".join(first[:12]) == "M:2/4 L:1/16 K:A A2 A c e A c e | a"  # 7th Regiment, a reel
