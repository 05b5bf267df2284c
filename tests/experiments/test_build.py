"""From the configuration to objects: every file of conf/ builds, and wrong values are refused before any work."""

import inspect
import math
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from experiments.build import BadInput, build, make_objective
from rnnlab.tasks import data, digits
from tests.choices import CONF, OUTSIDE_CONF, files
from tests.rnnlab.tasks import idx


def target_of(path: Path) -> Any:
    return get_object(OmegaConf.load(path)._target_)


OF_THE_SHELL = {"hydra", "scale", "experiment"}  # groups whose files are no objects
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in OF_THE_SHELL)
FILES = [path for group in GROUPS for path in files(group).values()]
TINY = ["network.hidden=4", "held_out=8", "device=cpu", f"hydra.searchpath=[{OUTSIDE_CONF}]"]
DECODED = [name for name, path in files("task").items() if target_of(path).readout == "decoder"]


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=[*TINY, *overrides])


def with_what_it_needs(group: str, name: str) -> list[str]:
    """The override that makes a choice, and those without which it is refused."""
    if group == "probe":
        return [f"+probe@probes.again={name}"]
    also = {
        ("network", "encoder_decoder"): ["task=reverse"],
        ("task", "mnist"): [f"task.folder={idx.fabricated()}"],
        **{("task", task): ["network=encoder_decoder"] for task in DECODED},
    }
    return [f"{group}={name}", *also.get((group, name), [])]


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_every_choice_builds(path, as_a_user):
    config = composed(*with_what_it_needs(path.parent.name, path.stem))
    bench = build(config)
    assert bench.network.read == bench.task.readout
    if path.parent.name == "objective":
        assert callable(make_objective(config))


@pytest.mark.parametrize("own", ["init", "order", "data"])
def test_each_seed_moves_its_own_stream_and_no_other(own):
    def drawn(*overrides: str) -> dict[str, bytes]:
        bench = build(composed("task.length=7", "steps=0", *overrides))
        (measured,) = bench.measurements()
        weights = b"".join(p.detach().numpy().tobytes() for p in bench.network.parameters())
        return {
            "init": weights,
            "order": repr(measured.scalars["train/loss"]).encode() if own == "order" else b"",
            "data": bench.test.x.numpy().tobytes(),
        }

    base, moved = drawn("seed=1"), drawn("seed=1", f"seeds.{own}=2")
    assert {name for name in base if base[name] != moved[name]} == {own}
    assert drawn("seed=2")[own] == moved[own] or own == "order"  # whose loss is of other weights, too


@pytest.mark.parametrize("path", [p for p in FILES if "torch.optim" not in p.read_text()], ids=lambda p: p.parent.name)
def test_a_setting_is_in_the_file_or_has_a_default_but_not_both(path):
    """A science value stands in the YAML alone, so that it is in every resolved configuration."""
    for name in OmegaConf.load(path).keys() - {"_target_"}:
        assert inspect.signature(target_of(path)).parameters[name].default is inspect.Parameter.empty, name


WRONG = [
    (["task.length=-5"], r"task: adding needs length >= 2 to place two marks, got -5"),
    (["task.length=abc"], r"task\.length: needs a whole number, got 'abc'"),
    (["steps=-1"], r"train needs steps >= 0, got -1"),
    (["checkpoint_seconds=often"], r"checkpoint_seconds: needs a number, got 'often'"),
    (["steps=1.5"], r"steps: needs a whole number, got 1\.5"),
    (["batch=0"], r"train needs batch >= 1, got 0"),
    (["network.depth=0"], r"network: stack needs depth >= 1, got 0"),
    (["network.direction=both"], r"network\.direction: needs one of forward, backward, bidirectional, got 'both'"),
    (
        ["cell=lstm", "gate_bias=chrono", "gate_bias.longest=1"],
        r"gate_bias: chrono_bias needs a finite longest > 2 steps, got 1",
    ),
    (["init.gain=-1"], r"init: orthogonal needs a positive, finite gain, got -1"),
    (["cell=lstm", "regulariser=omega"], r"regulariser: omega needs elman cells, .*, got LSTM"),
    (["regulariser=omega", "regulariser.weight=-4"], r"regulariser: omega needs a finite weight >= 0, got -4"),
    (
        ["cell._target_=rnnlab.cells.nothing.Nothing"],
        r"cell\._target_: cannot import 'rnnlab\.cells\.nothing\.Nothing'",
    ),
    (["+cell.gain=1"], r"cell\.gain: Elman takes no such setting, only"),
    (["optimizer.lr=-1"], r"optimizer: Invalid learning rate: -1"),
    (["device=gpu"], r"device: needs"),
    (["dtype=float16"], r"dtype: needs one of float32, float64, got 'float16'"),
    (["task=ecg", "task.length=30000"], r"task: ecg needs length"),
    (
        ["task=reverse"],
        r"network: stack needs .* got one whose output has a length of its own: use network=enc",
    ),
    (["network=encoder_decoder"], r"network: encoder_decoder needs .* got one that is read 'last': use network=stack"),
    (["cell=gru", "cell._target_=torch.nn.GRUCell"], r"^cell: needs a Cell as in rnnlab\.cells\.base, got torch\.nn"),
    (
        ["+probes.mine._target_=fractions.Fraction"],
        r"probes\.mine: needs a Probe as in rnnlab.probes.base, got fractions",
    ),
    (["+probes.mine._target_=mylab.loud"], r"probes\.mine\._target_: cannot import 'mylab\.loud'"),
    (["+probes.mine.threshold=1"], r"probes\.mine: needs _target_, the import path of .*, got \{'threshold': 1\}"),
    (["~init"], r"init: needs _target_, .* got None"),
    (["init._target_=rnnlab.inits.nothing_"], r"init\._target_: cannot import 'rnnlab\.inits\.nothing_'"),
    (["cell=antisymmetric", "cell.rate=-1"], r"cell: antisymmetric needs rate > 0 and friction >= 0, got -1"),
    (
        ["cell._target_=mylab.antisymmetric.Antisymmetric"],
        r"cell\.activation: Antisymmetric takes no such .*, rate",
    ),
    (["task=majority", "task.length=8"], r"task: majority needs an odd length, got 8"),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG, ids=[" ".join(o) for o, _ in WRONG])
def test_wrong_values_are_refused_by_key_rule_and_value(overrides, message, as_a_user):
    with pytest.raises(BadInput, match=message):
        build(composed(*overrides))


def test_the_command_and_the_files_that_contributing_shows_are_there(as_a_user):
    text = (CONF.parent / "CONTRIBUTING.md").read_text()
    (command,) = re.findall(r"```\npython -m experiments.train (.*)\n```", text)
    (cell,) = build(composed(*shlex.split(command))).network.cells()
    assert type(cell).__name__ == "Antisymmetric"
    named = re.findall(r"`((?:rnnlab|tests)/[\w/]+\.py)`", text)
    assert len(named) >= 8
    assert [name for name in named if not (CONF.parent / name).exists() and "NAME" not in name] == []


def test_a_gate_bias_of_another_package_reaches_the_gate_that_retains(as_a_user):
    network = build(composed("cell=lstm", "gate_bias=spread")).network
    (cell,) = network.cells()
    assert cell.b[4:8].tolist() == pytest.approx([k / 3 * math.log(100) for k in range(4)])


def test_feed_matrices_are_filled_apart_from_the_recurrent_ones():
    given = ["network.hidden=40", "network.depth=2", "network.input_layers=1", "network.output_layers=1", "task=digits"]
    plain, filled = (build(composed(*given, *more)).network for more in ([], ["feed_init=normal", "feed_init.std=3.0"]))
    for (name, before), after in zip(plain.named_parameters(), filled.parameters(), strict=True):
        if before.ndim == 1 or name.endswith(".W"):
            assert torch.equal(before, after), name
        else:  # four standard errors
            assert after.std().item() == pytest.approx(3, abs=12 / math.sqrt(2 * after.numel())), name


def test_the_readout_may_keep_its_own_filling():
    given = ["network.depth=2", "task=digits", "network.hidden=40"]
    more = ["feed_init=normal", "feed_init.std=1e-3", "feed_init.readout=false"]
    plain, filled = (build(composed(*given, *extra)).network for extra in ([], more))
    assert torch.equal(plain.readout.weight, filled.readout.weight)
    assert [cell.U.abs().max().item() < 0.01 for cell in filled.cells()] == [True, True]


def test_a_missing_data_file_says_what_to_do(as_a_user, monkeypatch, tmp_path):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    monkeypatch.setattr(data, "load", data.load.__wrapped__)  # without what other tests have left in the caches
    monkeypatch.setattr(digits, "images", digits.images.__wrapped__)
    with pytest.raises(BadInput, match=r"python -m rnnlab\.tasks\.data\.rebuild"):
        build(composed("task=digits"))
    with pytest.raises(BadInput, match=r"^held_out: mnist needs its four files, .* by task\.folder=FOLDER$"):
        build(composed("task=mnist", f"task.folder={tmp_path}"))


def test_a_constraint_holds_in_every_layer_and_map_while_training():
    given = ("constraint=orthogonal", "network.depth=2", "network.transition=2", "steps=3", "dtype=float64")
    bench = build(composed(*given, "task.length=5", "schedule=every", "schedule.interval=100"))
    before = [f.W.detach().clone() for cell in bench.network.cells() for f in cell.maps]
    list(bench.measurements())
    after = [f.W for cell in bench.network.cells() for f in cell.maps]
    assert len(after) == 4
    for old, W in zip(before, after, strict=True):
        assert (W - old).abs().max() > 1e-4  # it was trained
        assert (W @ W.T - torch.eye(4)).abs().max() < 1e-12  # rounding of float64
