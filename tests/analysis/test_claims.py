"""A claim holds or does not by its median, its interval is that of the seeds, and nothing is a traceback."""

import math

import pytest

from analysis import claims
from analysis.claims import Claim


def test_the_median_decides_and_the_interval_is_shown():
    values = [0.5, 0.1, 0.2, 0.3, 9.0]
    found = claims.at_most("falls", values, 0.3, paper="0.2", unit="decades")
    assert found == Claim("falls", "0.2", "0.3 [0.1, 9] decades", "<= 0.3 decades", "holds")
    assert claims.at_most("falls", values, 0.29, paper="").verdict == "does not hold"
    assert claims.at_least("rises", values, 0.3, paper="").verdict == "holds"
    assert claims.at_least("rises", values, 0.31, paper="").verdict == "does not hold"
    assert claims.between("is", values, 0.29, 0.31, paper="").verdict == "holds"
    assert claims.between("is", values, 0.31, 9, paper="").verdict == "does not hold"
    assert claims.between("is", values, 0.1, 0.29, paper="").verdict == "does not hold"
    eight = claims.at_least("rises", [1, 2, 3, 4, 5, 6, 7, 8], 4, paper="")
    assert eight.ours == "4.5 [1, 8]"
    nine = claims.at_least("rises", range(1, 10), 4, paper="")
    assert nine.ours == "5 [2, 8]"  # one left out at each end: the sign test holds 96 %


def test_one_seed_has_no_interval_and_an_infinity_is_a_number():
    assert claims.at_most("falls", [1e-7], 1e-6, paper="").ours == "1.0e-7"
    assert claims.at_least("explodes", [math.inf, 2.0, math.inf], 1e3, paper="").ours == "inf [2, inf]"
    with pytest.raises(ValueError, match=r"needs a number for each seed, got .*nan.*: explodes"):
        claims.at_least("explodes", [math.nan], 1e3, paper="")


def test_a_rate_has_its_wilson_interval_and_both_bounds():
    found = claims.share("solves", 3, 5, least=0.6, paper="all")
    assert found == Claim("solves", "all", "3 of 5, 0.6 [0.231, 0.882]", ">= 0.6", "holds")
    assert claims.share("solves", 3, 5, most=0.5, paper="").verdict == "does not hold"
    assert claims.share("solves", 3, 5, least=0.7, paper="").verdict == "does not hold"
    assert claims.share("solves", 3, 5, least=0.5, most=0.7, paper="").rule == ">= 0.5 and <= 0.7"
    with pytest.raises(ValueError, match="needs least or most"):
        claims.share("solves", 3, 5, paper="")


def test_a_law_has_no_exception():
    assert claims.every("law", [True] * 60, paper="theorem", rule="all").ours == "60 of 60"
    assert claims.every("law", [True, False], paper="theorem", rule="all").verdict == "does not hold"


def test_what_the_table_says_nothing_of_is_not_tested():
    nothing = [
        claims.at_most("a", [], 1, paper=""),
        claims.share("b", 0, 0, least=1, paper=""),
        claims.every("c", [], paper="", rule=""),
        claims.untested("d", paper="5", why="scale=paper"),
    ]
    assert {claim.verdict for claim in nothing} == {"not tested"}


def test_claims_as_markdown_and_as_lines():
    those = [
        claims.at_most("|g| falls", [0.5], 1, paper="0.2"),
        claims.untested("more", paper="5 | 6", why="needs T = 1,000"),
    ]
    head, _, one, other = claims.markdown(those).strip().splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["claim", "paper", "here", "rule", "verdict"]
    assert one.startswith(r"| \|g\| falls | 0.2 ")
    assert "**holds**" in one
    assert r"5 \| 6" in other
    assert claims.text(those).splitlines() == [
        "holds:         |g| falls: 0.5 (<= 1; paper: 0.2)",
        "not tested:    more (needs T = 1,000; paper: 5 | 6)",
    ]
