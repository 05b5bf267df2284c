"""The command that writes tunes: a run folder is opened, a network sampled, files written, or the error is clear."""

import json

import pytest
import torch
from hydra import compose, initialize
from omegaconf import OmegaConf

from experiments import melody, tune
from experiments.build import build
from experiments.records import Record
from rnnlab.tasks.data import abc
from rnnlab.tasks.tunes import STOP, Tunes

SMALL = ["cell=gru", "network.hidden=5", "steps=1", "batch=2", "held_out=2", "tracker=none", "device=cpu"]


def recorded(folder, *overrides: str, done=True) -> tuple[Tunes, torch.nn.Module]:
    """A run folder as `experiments.train` leaves it, without the training."""
    with initialize(version_base="1.3", config_path="../../conf"):
        cfg = compose("train", [*SMALL, *overrides])
    bench = build(cfg)
    with Record.open(folder, OmegaConf.to_container(cfg, resolve=True), name="x", scale="smoke") as record:
        record.weights(bench.network.state_dict())
        if done:
            record.done("stuck", steps=1, metrics={}, wall_seconds=1.0)
    return bench.task, bench.network


class Parrot:
    """A network that writes the same tunes again and again, whatever the genre: one row of scores for each step."""

    def __init__(self, task: Tunes, *tunes: str):
        number = {token: k for k, token in enumerate(task.vocabulary)}
        self.tunes = [[number[token] for token in tune.split()] for tune in tunes]
        self.task, self.read, self.given = task, [], 0

    def stream(self):
        tokens = [*self.tunes[self.given % len(self.tunes)], STOP]
        self.given += 1
        steps = iter(tokens)

        def step(x):
            assert x.shape == (1,)
            self.read.append(x.item())
            scores = torch.full((1, self.task.outputs), -50.0)
            scores[0, next(steps)] = 50.0
            return scores

        return step


GOOD = "M:6/8 L:1/8 K:G |: B A G A B A | B3 A3 :|"
BAD = "M:6/8 L:1/8 K:G (3 A B | A |"


@pytest.fixture
def task() -> Tunes:
    return Tunes(length=250, reduction="mean", solved_nats=1.0)


@pytest.fixture
def parrot(monkeypatch, task):
    """The command sees this network in place of that of the run folder."""

    def put(*tunes: str) -> Parrot:
        found = Parrot(task, *tunes)
        monkeypatch.setattr(tune, "opened", lambda folder: tune.Run(found, task, "0123abcd"))
        return found

    return put


def test_a_run_folder_gives_the_network_that_was_trained(tmp_path):
    task, network = recorded(tmp_path / "run", "task=tunes")
    run = tune.opened(tmp_path / "run")
    assert run.task == task
    assert run.name == json.loads((tmp_path / "run" / "config.json").read_text())["run"]
    x = task.draw("test", 1, torch.Generator().manual_seed(0)).x
    stream = run.network.stream()
    found = torch.stack([stream(step) for step in x[:40]])
    torch.testing.assert_close(found, network(x[:40])[0], rtol=0, atol=1e-5)  # float32, products of 1 and of 40 rows


def test_each_token_is_read_after_it_was_written_and_the_genre_first(task, parrot):
    network = parrot(GOOD)
    tokens = tune.drawn(tune.Run(network, task, "x"), "hornpipe", 1.0, torch.Generator().manual_seed(0))
    assert tokens == GOOD.split()
    assert network.read == [task.genre("hornpipe"), *network.tunes[0]]


def test_tokens_are_drawn_as_often_as_the_temperature_says():
    outputs, draws = torch.tensor([0.0, 1.0, 3.0]), 4000
    for temperature in (0.5, 1.0, 2.0):
        generator = torch.Generator().manual_seed(1)
        found = [tune.sampled(outputs, temperature, generator) for _ in range(draws)]
        share = torch.tensor([found.count(k) for k in range(3)]) / draws
        p = torch.exp(outputs / temperature) / torch.exp(outputs / temperature).sum()
        # 4 standard errors of a share, at most 0.032: a temperature of 1.2 in place of 1 is 0.06 off
        assert ((share - p).abs() <= 4 * (p * (1 - p) / draws).sqrt()).all()


def test_the_tune_is_written_as_abc_and_as_midi(tmp_path, parrot, capsys):
    parrot(GOOD)
    tune.main([str(tmp_path), "--genre=jig", "--count=2", "--seed=7", f"--out={tmp_path / 'new' / 'tunes'}"])
    text = (tmp_path / "new" / "tunes" / "jig_7_2.abc").read_text()
    assert text == ("X:2\nT:Jig No. 2 of run 0123abcd, seed 7\nR:jig\nM:6/8\nL:1/8\nK:G\n|: BAGABA | B3A3 :|\n")
    assert abc.tunes(text) == [text]
    assert abc.tokens(text) == GOOD.split()
    played = (tmp_path / "new" / "tunes" / "jig_7_2.mid").read_bytes()
    assert played.startswith(b"MThd")
    assert played.count(bytes([0x90, 71])) == 2 * 3  # the B, twice
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("jig_7_1.abc  14 tokens, 2 bars, 0 not of the meter's length")


def test_a_unit_length_lasts_the_same_whatever_it_is_called(tmp_path):
    for unit, quarter in (("1/8", 2 * tune.UNIT), ("1/16", 4 * tune.UNIT)):
        path = tune.written([*f"M:2/4 L:{unit} K:G A |".split()], tmp_path, "x", 1, "x", "reel")
        assert b"\xff\x51\x03" + round(1e6 * quarter).to_bytes(3, "big") in path.with_suffix(".mid").read_bytes()


def test_what_is_no_tune_is_drawn_again_and_counted(tmp_path, parrot, capsys):
    parrot(BAD, "M:6/8 A B", "", " ".join(["A"] * 250), GOOD)
    tune.main([str(tmp_path), "--genre=jig"])
    assert (tmp_path / "tunes" / "jig_0_1.abc").read_text().endswith("|: BAGABA | B3A3 :|\n")
    assert capsys.readouterr().out.endswith("; 4 thrown away before\n")


def test_a_network_that_writes_no_tune_is_given_up(tmp_path, parrot):
    parrot(BAD)
    with pytest.raises(SystemExit, match=r"^error: 0123abcd wrote no tune in 20 tries: train it longer, or lower "):
        tune.main([str(tmp_path), "--genre=jig"])
    assert not (tmp_path / "tunes").exists()


def test_one_seed_writes_the_same_tunes_and_another_others(task):
    network = torch.nn.Identity()
    scores = torch.eye(task.outputs)[:1]  # every token equally often, the stop e^4 times as often at temperature 0.5
    network.stream = lambda: lambda x: 2 * scores
    run = tune.Run(network, task, "x")

    def tokens(seed: int) -> list[str] | None:
        return tune.drawn(run, "reel", 0.5, torch.Generator().manual_seed(seed))

    assert None is not tokens(0) == tokens(0) != tokens(1)


def test_a_folder_that_cannot_be_used_is_refused_and_says_why(tmp_path):
    cases = {"run folder": "is no run folder: it has no config.json"}
    recorded(tmp_path / "unfinished", "task=tunes", done=False)
    cases["unfinished"] = "is not finished: it has no done.json"
    recorded(tmp_path / "adding", "task=adding", "task.length=5")
    cases["adding"] = "needs to be a run of rnnlab.tasks.tunes.Tunes, got rnnlab.tasks.adding.Adding"
    for name, message in cases.items():
        with pytest.raises(SystemExit, match=rf"^error: {tmp_path / name} {message}$"):
            tune.main([str(tmp_path / name), "--genre=jig"])


def test_a_network_that_is_not_forward_has_no_stream(tmp_path):
    recorded(tmp_path / "run", "task=tunes", "network.direction=bidirectional")
    with pytest.raises(SystemExit, match=r"^error: stream needs a forward network, got a bidirectional one"):
        tune.main([str(tmp_path / "run"), "--genre=jig"])


def test_weights_of_another_vocabulary_are_refused(tmp_path):
    _, network = recorded(tmp_path / "run", "task=tunes")
    weights = network.state_dict()
    weights["readout.bias"] = weights["readout.bias"][:-1]
    torch.save(weights, tmp_path / "run" / "weights.pt")
    with pytest.raises(SystemExit, match=r"^error: .*weights\.pt does not fit: were the tunes other ones\?"):
        tune.main([str(tmp_path / "run"), "--genre=jig"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--genre=polka", "--genre needs to be one of reel, hornpipe, jig, strathspey, got 'polka'"),
        ("--temperature=0", "--temperature needs a number > 0, got 0.0"),
        ("--temperature=-1", "--temperature needs a number > 0, got -1.0"),
        ("--temperature=nan", "--temperature needs a number > 0, got nan"),
        ("--temperature=inf", "--temperature needs a number > 0, got inf"),
        ("--count=0", "--count needs a number >= 1, got 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(option, message, capsys):
    with pytest.raises(SystemExit):
        tune.main(["folder", "--genre=jig", option])
    assert message in capsys.readouterr().err


def test_what_the_command_throws_away_is_what_the_reader_refuses(task):
    assert melody.bars(GOOD.split())
    with pytest.raises(ValueError, match="complete at each bar"):
        melody.bars(BAD.split())
