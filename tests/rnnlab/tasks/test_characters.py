import itertools
import math
from collections import Counter

import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.characters import Characters, symbols
from tests.rnnlab.tasks.every import noise, seeded

BOUNDS = {"train": (0, 1_071_285), "validation": (1_071_285, 1_130_801), "test": (1_130_801, 1_190_317)}


def characters(length=100, reduction="mean") -> Characters:
    return Characters(length=length, reduction=reduction, solved_bits=2.9)


def novel(split: str) -> str:
    return data.load("moby_dick")["text"].tobytes().decode()[slice(*BOUNDS[split])]


def spelled(tokens: torch.Tensor) -> str:
    return "".join(symbols()[token] for token in tokens.tolist())


def test_the_first_window_by_hand():
    x, y, *_ = characters(20).held_out("train", 2, seeded())
    assert spelled(x[:, 0]) == "CHAPTER 1. Loomings."
    assert spelled(y[:, 0]) == "HAPTER 1. Loomings.\n"
    assert x[:4, 0].tolist() == [26, 31, 24, 39]
    assert symbols()[:3] + symbols()[-5:] == "\n !—‘’“”"


def test_the_symbols_are_those_of_the_training_text():
    assert symbols() == "".join(sorted(set(novel("train"))))
    assert len(symbols()) == characters().inputs == characters().outputs == 83
    for split in BOUNDS:
        assert set(novel(split)) <= set(symbols())


@pytest.mark.parametrize("split", BOUNDS)
def test_held_out_windows_follow_each_other_and_the_target_is_the_next_character(split):
    text = novel(split)
    x, y, *_ = characters(1_000).held_out(split, 2_000, seeded())
    count = (len(text) - 1) // 1_000
    assert spelled(x.T.flatten()) == text[: 1_000 * count]
    assert spelled(y.T.flatten()) == text[1 : 1_000 * count + 1]
    assert characters(1_000).held_out(split, 3, seeded()).x.equal(x[:, :3])


@pytest.mark.parametrize("split", BOUNDS)
def test_a_drawn_window_is_a_stretch_of_its_split(split):
    text = novel(split)
    x, y, *_ = characters(60).draw(split, 200, seeded())
    places = [text.find(spelled(x[:, b]) + spelled(y[-1:, b])) for b in range(200)]
    assert min(places) >= 0
    assert x[1:].equal(y[:-1])
    thirds = Counter(3 * place // len(text) for place in places)
    assert min(thirds.values()) > 200 / 3 - 5 * math.sqrt(200 * 2 / 9)  # drawn from all of it


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_longest_windows_fill_the_split_and_do_not_leave_it(split):
    x, y, *_ = characters(59_515).draw(split, 2, seeded())
    assert spelled(x[:, 0]) + spelled(y[-1:, 0]) == novel(split)
    x, *_ = characters(59_514).draw(split, 40, seeded())  # two starts; 40 draws miss one with 2^-39
    assert {spelled(x[:9, b]) for b in range(40)} == {novel(split)[:9], novel(split)[1:10]}
    with pytest.raises(ValueError, match=r"^characters needs length <= 59515 for a window to fit each .*, got 59516$"):
        characters(59_516)


def test_chance_is_the_entropy_of_the_characters_of_the_test_split():
    counts = Counter(novel("test"))
    share = [counts[symbol] / 59_516 for symbol in symbols()]
    entropy = -sum(p * math.log(p) for p in share if p)
    assert characters().chance_loss == pytest.approx(entropy, rel=1e-12)  # two orders of a float64 sum
    assert characters(50, "sum").chance_loss == pytest.approx(50 * entropy, rel=1e-12)
    assert entropy / math.log(2) == pytest.approx(4.469, abs=5e-4)


def test_the_entropies_of_the_whole_text_are_the_published_ones():
    text = "".join(map(novel, BOUNDS))

    def entropy(order: int) -> float:
        counts = Counter(text[i : i + order] for i in range(len(text) - order + 1)).values()
        return math.log2(sum(counts)) - sum(count * math.log2(count) for count in counts) / sum(counts)

    blocks = [0, *map(entropy, (1, 2, 3))]
    found = [after - before for before, after in itertools.pairwise(blocks)]
    assert found == pytest.approx([4.47, 3.55, 2.88], abs=5e-3)  # their last digit


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_bits_are_those_of_a_character_whatever_the_reduction(reduction):
    task = characters(30, reduction)
    y = task.draw("test", 8, seeded()).y
    outputs = noise(task, y)
    logp = outputs.log_softmax(-1).gather(-1, y.unsqueeze(-1))
    assert task.metrics(outputs, y)["bits"] == pytest.approx(-logp.mean().item() / math.log(2), rel=1e-12)
    even = task.metrics(torch.zeros_like(outputs), y)
    assert even["bits"] == pytest.approx(math.log2(83), rel=1e-12)


def test_it_is_solved_strictly_below_its_bits():
    assert characters().solved({"loss": 9.0, "error": 0.5, "bits": 2.899})
    assert not characters().solved({"loss": 0.0, "error": 0.0, "bits": 2.9})
