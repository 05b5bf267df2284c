"""The README says what is there: its example runs, and it names every choice."""

import math
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# Not cells, inits and tasks: to add one takes no more than its own two files.
GROUPS = (
    "constraint",
    "network",
    "optimizer",
    "scheduler",
    "regulariser",
    "clip",
    "schedule",
    "tracker",
    "scale",
    "experiment",
)


def test_the_example_for_a_notebook_runs_and_gives_norms_at_every_step():
    _, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(code.replace("10_000", "2_000"), names)
    norm = names["norm"]
    assert norm.shape == (2001, 16)
    assert norm.isfinite().all()
    assert norm[-1, 0].item() == pytest.approx(math.log10(math.sqrt(128)))
    assert (norm[0] < -20).all()  # a forget gate near sigmoid(0) loses .3 decades a step


def test_the_example_of_a_trace_runs_in_a_loop_of_ones_own():
    code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    model = Tagger()
    names = {
        "model": model,
        "loader": [(torch.randn(6, 2, 3), torch.randn(6, 2, 8)) for _ in range(101)],
        "criterion": torch.nn.functional.mse_loss,
        "optimizer": torch.optim.SGD(model.parameters(), 0.1),
    }
    exec(code, names)
    assert names["trace"].profiles().step.unique().tolist() == [0, 100]
    assert names["trace"].weights().module.unique().tolist() == ["lstm"]


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, bidirectional=True)

    def forward(self, x):
        return self.lstm(x)[0]


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_named(group):
    missing = [
        path.stem for path in (ROOT / "conf" / group).glob("*.yaml") if not re.search(rf"\b{path.stem}\b", README)
    ]
    assert not missing


def test_the_readme_stays_short():
    assert len(README.splitlines()) <= 170
