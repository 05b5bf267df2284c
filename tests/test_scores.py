"""`make scores` without its training: its rows build, its references look where they should, a missed bar shows."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hydra.utils import instantiate

from experiments.build import build
from rnnlab.tasks import characters, data
from rnnlab.train import Measurement, evaluate
from tests.benchmarks import scores
from tests.benchmarks.references import tokens
from tests.benchmarks.rows import fixed
from tests.rnnlab.tasks.every import make, seeded

TINY = ["network.hidden=4", "held_out=8", "batch=2"]


@pytest.mark.parametrize("row", scores.ROWS, ids=lambda row: row.name)
def test_every_row_builds_and_scores_its_whole_test_split_in_its_unit(row):
    cfg = scores.composed(row)
    assert cfg.scheduler.T_max == cfg.steps, "the rate has to be 0 at the last update, and not before"
    assert not cfg.stop_when_solved, "the number of updates is fixed"
    assert instantiate(cfg.task).held_out("test", 10**6, seeded()).x.shape[1] <= cfg.held_out
    bench = build(scores.composed(row, *TINY))
    found = evaluate(bench.network, bench.task, bench.test)
    assert ("error" if row.unit == "accuracy" else row.unit) in found


@pytest.fixture
def faked(monkeypatch):
    """Training that ends at once, with the metrics given; returns what gives them."""

    def give(**metrics: float) -> None:
        last = Measurement(7, {"train/loss": 0.5}, None, 0.0, "stuck", dict)
        monkeypatch.setattr(
            scores,
            "build",
            lambda cfg: SimpleNamespace(network=None, task=None, test=None, measurements=lambda: iter([last])),
        )
        monkeypatch.setattr(scores, "evaluate", lambda *bench: metrics)

    return give


@pytest.mark.parametrize(
    ("name", "metrics", "code"),
    [
        ("digits_gru", {"error": 0.18 - 1e-6}, 0),
        ("digits_gru", {"error": 0.18 + 1e-6}, 1),
        ("digits_gru", {"error": math.nan}, 1),
        ("phonemes", {"edit_error": 0.24, "error": 1.0}, 0),
        ("phonemes", {"edit_error": 0.26, "error": 0.0}, 1),
    ],
)
def test_a_row_that_misses_its_bar_is_marked_and_makes_exit_code_1(name, metrics, code, faked, capsys):
    faked(**metrics)
    assert scores.main([name]) == code
    table = capsys.readouterr().out.splitlines()
    assert ("NOT MET" in table[-1]) == bool(code)
    assert f"{1 - metrics['error'] if name == 'digits_gru' else metrics['edit_error']:.3f}" in table[-1]


def test_one_missed_bar_of_several_makes_exit_code_1(faked, capsys):
    faked(error=0.1)
    assert scores.main(["digits_gru", "spoken_gru"]) == 1
    assert ["NOT MET" in line for line in capsys.readouterr().out.splitlines()[-2:]] == [False, True]


def test_a_bar_may_stand_at_a_margin_from_a_reference_that_is_computed(faked, monkeypatch):
    (row,) = (row for row in scores.ROWS if row.name == "sentiment")
    monkeypatch.setattr(scores, "ROWS", [row._replace(reference=fixed(0.75, "a fake"))])
    for error, code in ((0.279, 0), (0.281, 1)):
        faked(error=error)
        assert scores.main([]) == code


def test_a_row_whose_data_do_not_ship_is_skipped_aloud_without_them(monkeypatch, capsys):
    def missing(cfg):
        raise scores.BadInput("task: no file") from FileNotFoundError("no file")

    monkeypatch.setattr(scores, "build", missing)
    assert scores.main(["tunes"]) == 0
    assert "SKIPPED: task: no file" in capsys.readouterr().out
    with pytest.raises(scores.BadInput):
        scores.main(["digits_gru"])


def test_the_trigram_model_gets_the_text_that_the_network_is_scored_on():
    (text,) = tokens(make("characters"), "test", joined=True)
    whole = data.load("moby_dick")["text"].tobytes().decode()
    assert "".join(np.array(list(characters.symbols()))[text]) in whole[-59_600:]
    assert len(text) == 59_501  # 595 windows of 100, and the character before them


def test_the_trigram_model_gets_tunes_one_by_one_behind_their_genre():
    task = make("tunes")
    pieces = tokens(task, "test", joined=False)
    x = task.held_out("test", 10**6, seeded()).x
    assert len(pieces) == x.shape[1] > 1
    for piece, read in zip(pieces, x.T.numpy(), strict=True):
        assert piece[0] >= task.outputs
        assert piece[:-1].tolist() == read[: len(piece) - 1].tolist()  # what is read next is what was to be written
        assert piece[-1] == 0
