"""Odd sweeps, small screens, and a sweep that grows while one looks at it."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from analysis.dashboard import page as dashboard
from tests.analysis import payloads
from tests.analysis.dashboard.browsing import CHARTS, Opened, ids

NASTY = '</script><img src=x onerror="window.hit=1">${width}\'"`&<b>'


def test_a_phone_shows_one_column_and_no_more_than_its_width(opened):
    sweep = payloads.sweep(series=payloads.layers(4, ("forward", "backward"), ("h", "c")))
    page = opened(sweep, width=390, height=5000, has_touch=True)
    assert page.page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.page.evaluate("document.getElementById('grid').scrollWidth") > 390
    wide = page.page.evaluate(
        "[...document.querySelectorAll('canvas')].map((c) => [c.closest('.chart').id, c.clientWidth])"
    )
    assert all(width <= 390 for name, width in wide if name != "parallel")  # that one scrolls in its box
    lefts = page.page.evaluate(
        "[...document.querySelectorAll('.card')].map((card) => card.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1
    tiles = page.data("trainability", "tiles")
    assert {tile["written"] for tile in tiles} <= {tile["text"].split()[0] for tile in tiles}
    page.page.set_viewport_size({"width": 900, "height": 1200})
    page.page.wait_for_function("document.querySelector('#curves canvas').clientWidth > 390")


def odd() -> dict[str, dict]:
    series = payloads.layers()
    solo = payloads.run("solo", [], 64, outcome="solved", seed=0, series=series)
    solo["curves"] = {"train/loss": [[0], [0.7]]}
    failed = [payloads.run(f"f{s}", [s], 64, outcome="failed", seed=s, series=[]) for s in range(3)]
    bare = payloads.sweep(lengths=(64,), cells=("lstm",), depths=(1,), seeds=2)
    for run in bare["runs"]:
        run |= dict.fromkeys(
            ["T", "step", "seconds", "loss", "metric", "horizon", "decay", "init", "predicted", "verdict", "profiles"]
        )
        run |= {"curves": {"train/loss": [[0, 1], [None, None]]}, "settings": [None] * 4, "censored": False}
    nasty = payloads.sweep(lengths=(64,), cells=(NASTY, "lstm"), depths=(1,), seeds=1, name=NASTY)
    nasty["axes"][1] |= {"name": NASTY, "label": NASTY}
    nasty |= {"common": {NASTY: NASTY}, "left_out": {NASTY: NASTY}, "metric": NASTY, "loss": NASTY}
    for run in nasty["runs"]:
        run |= {"run": run["run"] + NASTY, "failure": NASTY}
        run["curves"] = {NASTY: run["curves"]["train/loss"]}
    return {
        "no run": payloads.payload([], [], []),
        "one run": payloads.payload([solo], [], series),
        "one step": payloads.sweep(lengths=(1,), cells=("lstm",), depths=(1,), seeds=2, probed=1),
        "failed": payloads.payload(failed, [("seed", "seed")], []),
        "nulls": bare,
        "nasty": nasty,
    }  # fmt: skip


@pytest.mark.parametrize("which", list(odd()))
def test_an_odd_sweep_is_drawn_or_says_why_it_is_not(opened, which):
    page = opened(odd()[which], height=4000)
    for chart in CHARTS:
        drawn = page.page.locator(f"#{chart} canvas").count()
        assert drawn or len(page.page.inner_text(f"#{chart} .reason")) > 10, chart
    if which == "one run":
        (alone,) = (row for row in page.data("curves") if row["kind"] == "alone")  # a line of one point shows nothing
        assert (alone["step"], alone["y"]) == (0, 0.7)
        assert [page.page.is_visible(field) for field in ("#map-against", "#horizon-against", "#curve")] == [0, 0, 1]
    if which == "nasty":
        page.page.mouse.move(*page.pixel("curves", "points", "step", "y", kind="point"))
        assert NASTY in page.page.inner_text("#tooltip")
        assert page.page.evaluate("window.hit") is None
        assert page.page.inner_text("h1") == NASTY
        assert page.page.locator("img").count() == 0
        assert NASTY in page.page.inner_text("#notice")


@pytest.fixture
def server() -> Iterator[Any]:
    """Serves the page, and `payload` with a tag that changes with it; `answers` lists the codes of /payload.json."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                return self.answer(200, dashboard.html(None).encode(), "text/html; charset=utf-8")
            if found.down:
                return self.answer(503, b"", "text/plain")
            body = json.dumps(found.payload).encode()
            tag = f'"{hashlib.sha256(body).hexdigest()}"'
            same = self.headers.get("If-None-Match") == tag
            found.answers.append(304 if same else 200)
            return self.answer(found.answers[-1], b"" if same else body, "application/json", tag)

        def answer(self, code: int, body: bytes, kind: str, tag: str = '""') -> None:
            self.send_response(code)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "ETag": tag}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    found.payload, found.answers, found.down = payloads.payload([], [], []), [], False
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_served_page_follows_the_sweep_and_keeps_what_was_chosen(browser, server):
    page = Opened(browser.new_page(viewport={"width": 1200, "height": 800}))
    page.page.clock.install()
    address = f"http://127.0.0.1:{server.server_port}/"
    page.go(address)
    assert "No runs yet" in page.page.inner_text("#grid")
    assert page.page.inner_text("#live") == "live"
    whole = payloads.sweep()

    def later(runs: int, seen: str) -> None:
        server.payload = whole | {"runs": whole["runs"][:runs]}
        page.page.clock.fast_forward(3100)
        page.page.wait_for_function(f"rnnlab.state.payload.runs.length === {seen}")
        page.settle()

    later(20, "20")
    assert len(page.state("selected")) == 6  # nothing had been chosen while there was nothing to choose from
    page.look_at("parallel")
    assert page.page.inner_text("#parallel .summary").startswith("20 runs")
    page.page.evaluate("rnnlab.change({ series: [0] })")
    whole["series"].insert(0, {"layer": 0, "direction": "forward", "part": "a"})
    for series in (one for run in whole["runs"] if run["profiles"] for one in run["profiles"]["series"]):
        series["of"] += 1
    page.select("r3", "r5")
    page.page.evaluate("rnnlab.change({ focus: 'r5', step: 2, curve: 'grad/norm' })")
    page.page.fill("#filter", "cell=elman")
    page.page.locator("th[data-column=loss] button").click()
    page.page.evaluate("document.getElementById('grid').scrollTop = 60; scrollTo(0, 300)")
    later(36, "36")
    kept = {name: page.state(name) for name in ("selected", "focus", "step", "curve", "filter")}
    assert kept == {"selected": ["r3", "r5"], "focus": "r5", "step": 2, "curve": "grad/norm", "filter": "cell=elman"}
    assert set(page.shown()) == ids(whole, lambda run: run["settings"][1] == "elman")
    assert page.page.get_attribute("th[data-column=loss]", "aria-sort") == "ascending"
    assert page.page.evaluate("[document.getElementById('grid').scrollTop, scrollY]") == [60, 300]
    assert page.state("series") == [1]  # the same one, which stands elsewhere now
    page.page.wait_for_function("!rnnlab.charts.get('parallel').dirty")
    assert page.page.inner_text("#parallel .summary").startswith("18 runs")  # out of view
    with page.page.expect_response(lambda answer: answer.status == 304):
        page.page.clock.fast_forward(3100)
    assert page.complaints == []
    server.down = True
    page.page.clock.fast_forward(3100)
    page.page.wait_for_selector("#live.lost >> text=no answer from the server")
    assert len(page.shown()) == 18
    server.down = False
    page.page.clock.fast_forward(3100)
    page.page.wait_for_function("document.getElementById('live').textContent === 'live'")
    page.page.close()
    assert {url.removeprefix(address) for url in page.requests if not url.startswith("data:")} == {"", "payload.json"}
    assert 304 in server.answers
