"""From the configuration to objects: every file of conf/ builds, and wrong values are refused before any work."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import OmegaConf

from experiments.build import BadInput, build
from rnnlab.tasks import data, digits
from tests.rnnlab.tasks import idx

CONF = Path(__file__).parents[2] / "conf"
GROUPS = (
    "cell",
    "init",
    "gate_bias",
    "network",
    "task",
    "optimizer",
    "scheduler",
    "clip",
    "probe",
    "schedule",
    "tracker",
)
FILES = [path for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
TINY = ["network.hidden=4", "held_out=8", "device=cpu"]


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=[*TINY, *overrides])


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_every_choice_builds(path, as_a_user):
    group, name = path.parent.name, path.stem
    override = f"+probe@probes.again={name}" if group == "probe" else f"{group}={name}"
    files = [f"task.folder={idx.fabricated()}"] if name == "mnist" else []
    bench = build(composed(override, *files))
    assert bench.network.read == bench.task.readout


@pytest.mark.parametrize("path", [p for p in FILES if "torch.optim" not in p.read_text()], ids=lambda p: p.parent.name)
def test_a_setting_is_in_the_file_or_has_a_default_but_not_both(path):
    """A science value stands in the YAML alone, so that it is in every resolved configuration."""
    node = OmegaConf.load(path)
    target = get_object(node._target_)
    for name in node.keys() - {"_target_"}:
        assert inspect.signature(target).parameters[name].default is inspect.Parameter.empty, name


WRONG = [
    (["task.length=-5"], r"task: adding needs length >= 2 to place two marks, got -5"),
    (["task.length=abc"], r"task\.length: needs a whole number, got 'abc'"),
    (["steps=-1"], r"train needs steps >= 0, got -1"),
    (["steps=1.5"], r"steps: needs a whole number, got 1\.5"),
    (["batch=0"], r"train needs batch >= 1, got 0"),
    (["network.depth=0"], r"network: stack needs depth >= 1, got 0"),
    (["network.direction=both"], r"network\.direction: needs one of forward, backward, bidirectional, got 'both'"),
    (["init.gain=-1"], r"init: orthogonal needs a positive, finite gain, got -1"),
    (
        ["cell._target_=rnnlab.cells.nothing.Nothing"],
        r"cell\._target_: cannot import 'rnnlab\.cells\.nothing\.Nothing'",
    ),
    (["+cell.gain=1"], r"cell\.gain: Elman takes no such setting, only"),
    (["optimizer.lr=-1"], r"optimizer: Invalid learning rate: -1"),
    (["device=gpu"], r"device: needs"),
    (["dtype=float16"], r"dtype: needs one of float32, float64, got 'float16'"),
    (["task=ecg", "task.length=30000"], r"task: ecg needs length"),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG, ids=[" ".join(o) for o, _ in WRONG])
def test_wrong_values_are_refused_by_key_rule_and_value(overrides, message, as_a_user):
    with pytest.raises(BadInput, match=message):
        build(composed(*overrides))


def test_a_missing_data_file_says_what_to_do(as_a_user, monkeypatch, tmp_path):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    monkeypatch.setattr(data, "load", data.load.__wrapped__)  # without what other tests have left in the caches
    monkeypatch.setattr(digits, "images", digits.images.__wrapped__)
    with pytest.raises(BadInput, match=r"python -m rnnlab\.tasks\.data\.rebuild"):
        build(composed("task=digits"))
    with pytest.raises(BadInput, match=r"^held_out: mnist needs its four files, .* by task\.folder=FOLDER$"):
        build(composed("task=mnist", f"task.folder={tmp_path}"))
