"""What is read of a run, which variant it is, and each claim seen to hold and to fail."""

import json

import pandas as pd
import pytest

from analysis import pascanu2013_fig7 as fig7
from analysis import tables
from tests.analysis import fabricate

CLIPS = {
    "SGD": ("no_clip", "none"),
    "SGD-C": ("clip_norm", "none"),
    "SGD-CR": ("clip_norm", "Omega"),
}


def made(reach: dict[str, int], *, twin: float = 1.0, lengths=(20, 30, 40), panels=("basic tanh",)) -> pd.DataFrame:
    """A table in which each variant solves up to a T of its own, in each of five seeds."""
    rows = [
        {
            "panel": panel,
            "variant": variant,
            "T": T,
            "seed": seed,
            "outcome": "solved" if longest >= T else "stuck",
            "updates": 100,
            "error": 0.0,
            "clipped": 0.0 if variant != "SGD-CR" else 0.9,
            "twin": twin if variant == "SGD-C" else float("nan"),
        }
        for panel in panels
        for variant, longest in reach.items()
        for T in lengths
        for seed in range(5)
    ]
    return pd.DataFrame(rows)


AS_PUBLISHED = {"SGD": 20, "SGD-C": 30, "SGD-CR": 40}


KEYS = {
    "clipping": "with clipping",
    "regulariser": "with the regulariser",
    "both": "with both",
    "fewer": "the fewer",
    "longer": "a longer T",
    "bit": "last bit",
    "long": "T >= 100",
}
ALL = tuple(fig7.PANELS.values())


def verdicts(table: pd.DataFrame) -> dict[str, str]:
    """Of the claims that are made of each panel, the last one's."""
    found = fig7.check(table)
    return {key: next(c.verdict for c in found[::-1] if words in c.text) for key, words in KEYS.items()}


def test_every_claim_holds_where_it_is_as_published():
    assert verdicts(made(AS_PUBLISHED)) == dict.fromkeys(KEYS, "holds") | {"long": "not tested"}
    paper = made({"SGD": 0, "SGD-C": 100, "SGD-CR": 200}, lengths=(100, 200), panels=ALL)
    assert verdicts(paper) == dict.fromkeys(KEYS, "holds")
    short = made({"SGD": 0, "SGD-C": 0, "SGD-CR": 0}, lengths=(20, 40), panels=ALL)  # is no part of the last one
    assert verdicts(pd.concat([paper, short]))["long"] == "holds"


@pytest.mark.parametrize(
    ("table", "broken"),
    [
        (made({"SGD": 30, "SGD-C": 20, "SGD-CR": 40}), {"clipping"}),
        (made({"SGD": 20, "SGD-C": 40, "SGD-CR": 30}), {"regulariser"}),
        (made(dict.fromkeys(CLIPS, 30)), {"both", "longer"}),
        (made(AS_PUBLISHED, twin=0.0), {"bit"}),
        (made({"SGD": 0, "SGD-C": 100, "SGD-CR": 100}, lengths=(100, 200), panels=ALL), {"long"}),
        (made(AS_PUBLISHED).assign(T=lambda of: 60 - of["T"]), {"fewer", "longer"}),
    ],
    ids=["clipping", "regulariser", "no_gain", "bits", "long", "upside_down"],
)
def test_each_claim_fails_where_the_runs_say_otherwise(table, broken):
    assert {key for key, verdict in verdicts(table).items() if verdict == "does not hold"} == broken


def test_a_single_run_that_an_addition_loses_decides_though_the_median_of_the_seeds_is_level():
    table = made({"SGD": 20, "SGD-C": 20, "SGD-CR": 40})
    assert verdicts(table)["clipping"] == "holds"
    table.loc[(table["variant"] == "SGD-C") & (table["seed"] == 0), "outcome"] = "stuck"
    assert verdicts(table)["clipping"] == "does not hold"
    (claim,) = (c for c in fig7.check(table) if "with clipping" in c.text)
    assert claim.ours == "-1 of 15 runs; per seed 0 [-1, 0]"


def test_without_one_of_the_variants_or_a_quiet_pair_nothing_is_claimed_of_it():
    alone = made({"SGD-CR": 40})
    assert set(verdicts(alone).values()) == {"not tested"}
    clipped = made(AS_PUBLISHED).assign(clipped=0.5)
    assert verdicts(clipped)["bit"] == "not tested"


def test_a_run_is_told_by_its_clip_its_regulariser_and_its_initialisation(tmp_path):
    """And each run with clipping is held against the one without of its own T and seed."""
    for k, (variant, (clip, regulariser)) in enumerate(CLIPS.items()):
        for init, activation in (("gaussian", "sigmoid"), ("gaussian", "tanh"), ("sparse", "tanh")):
            for seed in range(2):
                settings = {
                    "cell": {"_target_": "rnnlab.cells.elman.Elman", "activation": activation},
                    "clip": {"_target_": f"rnnlab.train.{clip}"},
                    "regulariser": {"_target_": f"rnnlab.regularisers.{regulariser}"},
                }
                changed = variant == "SGD-CR" or (variant == "SGD-C" and seed == 0)
                run = fabricate.run(
                    tmp_path,
                    f"{k}{init}{activation}{seed}",
                    init=init,
                    T=20,
                    seed=seed,
                    steps=(0, 10),
                    losses=(1.4, 0.1 * seed + (1e-9 if changed else 0)),
                    settings=settings,
                    error=0.001 * k,
                )
                lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
                lines = [{**line, "grad/clipped": float(changed and line["step"] > 0)} for line in lines]
                (run / "scalars.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = fig7.make(tmp_path, tables.runs(tmp_path), tmp_path)[0][fig7.NAME]
    assert len(table) == 18
    assert sorted(set(table["panel"])) == ["basic tanh", "sigmoid", "smart tanh"]
    for variant, group in table.groupby("variant"):
        assert group["error"].tolist() == [0.001 * list(CLIPS).index(variant)] * 6
        assert sorted(group["panel"]) == sorted([*fig7.PANELS.values()] * 2)
    of_c = table[table["variant"] == "SGD-C"]
    assert of_c["twin"].tolist() == [0.0, 1.0] * 3
    assert of_c["clipped"].tolist() == [0.5, 0.0] * 3
    assert table.loc[table["variant"] != "SGD-C", "twin"].isna().all()


def test_the_panels_stand_as_in_the_paper_and_the_rates_are_those_of_the_runs():
    table = made(AS_PUBLISHED, panels=("smart tanh", "sigmoid", "basic tanh"))
    drawn = fig7.figure(table)
    assert [axes.get_title() for axes in drawn.axes] == ["sigmoid", "basic tanh", "smart tanh"]
    rates = [list(line.get_ydata()) for line in drawn.axes[0].lines]
    assert rates == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()][:3] == ["SGD", "SGD-C", "SGD-CR"]
