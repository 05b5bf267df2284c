"""The table of runs and what stands around it: sort, filter, keyboard, verdict, theme."""

import pytest

from tests.analysis import payloads
from tests.analysis.dashboard.browsing import ROWS, ids, of


def test_the_table_says_what_the_runs_are_and_sorts_by_any_column(shared):
    page, sweep = shared
    page.page.fill("#filter", "")
    page.page.evaluate("rnnlab.change({ sort: [], focus: 'r0' })")
    tally = page.page.inner_text("#outcomes").split()
    assert dict(zip(tally[1::2], map(int, tally[::2]), strict=True)) == {
        name: len(ids(sweep, lambda run, name=name: run["outcome"] == name)) for name in set(tally[1::2])
    }
    assert sum(map(int, tally[::2])) == 36
    cells = page.page.locator("tr[data-run=r0] td").all_inner_texts()
    assert cells[1:7] == ["64", "elman", "1", "0", "solved", sweep["runs"][0]["verdict"]["name"]]
    assert cells[9] == "≥ 64"
    minutes = next(run for run in sweep["runs"] if 100 < (run["seconds"] or 0) < 900)
    told = page.page.locator(f"tr[data-run={minutes['run']}] td").all_inner_texts()[12]
    assert told == "{:g} min".format(float(f"{minutes['seconds'] / 60:.2g}"))
    known = [run for run in sweep["runs"] if run["loss"] is not None]
    head = page.page.locator("th[data-column=loss]")
    for press, reverse, order in ((1, False, "ascending"), (2, True, "descending")):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order, press
        expected = [run["run"] for run in sorted(known, key=lambda run: run["loss"], reverse=reverse)]
        assert page.shown()[: len(known)] == expected
        assert page.page.evaluate(ROWS)[:8] == expected[:8]
    page.page.locator("th[data-column=cell] button").click()
    page.page.locator("th[data-column=loss] button").click(modifiers=["Shift"])
    elman = sorted((run for run in known if run["settings"][1] == "elman"), key=lambda run: run["loss"])
    assert page.shown()[: len(elman)] == [run["run"] for run in elman]


@pytest.mark.parametrize(
    ("text", "test"),
    [
        (
            "cell=lstm T>100 outcome!=solved",
            lambda r: r["settings"][1] == "lstm" and r["T"] > 100 and r["outcome"] != "solved",
        ),
        ("task.length<=200 depth=1,4", lambda r: r["T"] <= 200 and r["settings"][2] in (1, 4)),
        ("loss<.01", lambda r: r["loss"] is not None and r["loss"] < 0.01),
        ("verdict=none", lambda r: r["verdict"] is None),
        ("VANISH elman", lambda r: r["settings"][1] == "elman" and (r["verdict"] or {}).get("name") == "vanishing"),
    ],
)
def test_the_filter_leaves_the_runs_that_meet_each_condition(shared, text, test):
    page, sweep = shared
    page.page.fill("#filter", text)
    assert set(page.shown()) == ids(sweep, test) != set()
    assert page.page.inner_text("#filter-error") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cel=lstm", "there is no column cel"),
        ("T>abc", "T> needs a number, got abc"),
        ("outcome>solved", "outcome is text"),
        ("T=", "T= needs a value"),
    ],
)
def test_a_condition_that_cannot_be_read_says_so_and_is_left_out(shared, text, words):
    page, sweep = shared
    page.page.fill("#filter", f"cell=lstm {text}")
    assert words in page.page.inner_text("#filter-error")
    assert set(page.shown()) == ids(sweep, lambda run: run["settings"][1] == "lstm")


def test_the_verdict_names_its_number_and_what_to_copy(shared):
    page, sweep = shared
    name = next(run["run"] for run in sweep["runs"] if (run["verdict"] or {}).get("name") == "vanishing")
    page.page.evaluate("(focus) => rnnlab.change({ focus })", name)
    told = page.page.inner_text("#verdict")
    verdict = of(sweep, name)["verdict"]
    assert told.startswith("vanishing")
    assert f"{verdict['number']} · threshold {verdict['threshold']:g}" in told
    assert verdict["text"] in told
    assert payloads.VERDICTS["vanishing"]["rule"] in told
    page.page.locator(".remedies button").first.click()
    page.page.wait_for_selector("text=Copied")
    copied = f"cell=lstm gate_bias=chrono gate_bias.longest={of(sweep, name)['T']}"
    assert page.page.evaluate("navigator.clipboard.readText()") == copied
    page.page.evaluate("rnnlab.change({ focus: 'r7' })")
    assert "No verdict yet" in page.page.inner_text("#verdict")


def test_the_theme_follows_the_system_until_one_is_chosen(opened):
    page = opened(payloads.sweep(seeds=1), color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark, ink = page.page.evaluate(ground), page.page.evaluate("rnnlab.charts.get('curves').key")
    page.page.emulate_media(color_scheme="light")
    page.settle()
    light = page.page.evaluate(ground)
    assert light != dark
    assert page.page.evaluate("rnnlab.charts.get('curves').key") != ink
    page.page.locator("#theme span").nth(2).click()
    page.settle()
    assert page.page.evaluate(ground) == dark
    assert page.page.evaluate("rnnlab.charts.get('curves').key") == ink


def test_all_of_it_is_reached_by_the_keyboard(opened):
    page = opened(payloads.sweep())
    press = page.page.keyboard.press
    active = "document.activeElement.id || document.activeElement.dataset.run || document.activeElement.textContent"
    press("Tab")
    assert page.page.evaluate(active) == "Skip to the table of runs"
    press("Enter")
    for _ in range(6):
        press("Tab")
    assert page.page.evaluate(active) == "T"
    for order in ("ascending", "descending", "ascending"):
        press("Enter")
        assert page.page.evaluate("document.activeElement.closest('th').ariaSort") == order
    while page.page.evaluate("!document.activeElement.dataset.run"):
        press("Tab")
    first = page.page.evaluate(active)
    press("ArrowDown")
    press("End")
    last = page.page.evaluate(active)
    assert (first, last) == (page.shown()[0], page.shown()[-1])
    before = set(page.state("selected"))
    press("Space")
    press("Enter")
    assert set(page.state("selected")) ^ before == {last}
    assert page.state("focus") == last == page.page.evaluate(active)
    page.page.evaluate(
        "window.seen = []; addEventListener('focusin', ({ target }) => seen.push(target.id || target.dataset.axis))"
    )
    for _ in range(60):
        press("Tab")
        if page.page.evaluate(active) == "unbrush":
            page.look_at("parallel")  # it came into view by this, and has its axes once it is drawn
    seen = set(page.page.evaluate("seen"))
    assert {"curve", "curve-log", "smoothing", "step", "across", "map-against", "horizon-against"} <= seen
    assert {"parallel-colour", "unbrush", "task.length", "cell", " loss"} <= seen


def test_a_thousand_runs_keep_few_rows_in_the_document(opened):
    few = {"curves": {"train/loss": [[0, 1, 2], [3, 2, 1]]}, "profiles": None}
    one = payloads.run("r", [], 64, outcome="solved", seed=0, series=[], probed=1) | few
    thousand = [one | {"run": f"r{k}", "settings": [k % 7, k]} for k in range(1000)]
    page = opened(payloads.payload(thousand, [("network.depth", "depth"), ("seed", "seed")], []))
    assert page.page.evaluate("document.querySelectorAll('tr[data-run]').length") < 60
    page.page.evaluate("document.getElementById('grid').scrollTop = 1e6")
    page.settle()
    assert page.page.evaluate(ROWS)[-1] == page.shown()[-1]
    page.page.fill("#filter", "seed<3")
    page.settle()
    assert sorted(page.page.evaluate(ROWS)) == ["r0", "r1", "r2"]
    page.page.fill("#filter", "")
    page.page.click("#all")
    page.settle()
    assert len(page.state("selected")) == 1000
    assert "of 1000 are drawn" in page.page.inner_text("#curves .summary")
