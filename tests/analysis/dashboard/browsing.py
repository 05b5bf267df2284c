"""A page of the dashboard in a browser, and what the tests ask of it."""

import shutil
from collections.abc import Callable
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHARTS = ("curves", "gradient", "profile", "trainability", "horizon", "parallel")
ROWS = "[...document.querySelectorAll('tr[data-run]')].map((row) => row.dataset.run)"
SETTLED = """async () => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  for (let i = 0; i < 2; i++) await frame(); // a brush selects in the one, its charts are drawn in the other
  for (const chart of rnnlab.charts.values()) await chart.done;
}"""
PIXEL = """([chart, data, wanted, xName, yName]) => {
  const { view } = rnnlab.charts.get(chart), [x, y] = view.origin(), pad = view.padding();
  const at = view.data(data).find((row) => Object.entries(wanted).every(([name, value]) => row[name] === value));
  const box = document.querySelector(`#${chart} canvas`).getBoundingClientRect();
  const [px, py] = [view.scale('x')(at[xName]), view.scale('y')(at[yName])];
  return [box.x + x + (pad.left ?? pad) + px, box.y + y + (pad.top ?? pad) + py];
}"""


class Opened:
    """A page of the dashboard, and what it complained of or asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))

    def settle(self) -> None:
        self.page.evaluate(SETTLED)

    def go(self, address: str) -> "Opened":
        self.page.goto(address)
        self.page.wait_for_function("window.rnnlab?.state.payload")
        self.settle()
        self.settle()  # what is in view is known after the first frame
        return self

    def look_at(self, chart: str) -> None:
        self.page.locator(f"#{chart}").scroll_into_view_if_needed()
        self.page.wait_for_function("(name) => !rnnlab.charts.get(name).dirty", arg=chart)
        self.settle()

    def pixel(self, chart: str, data: str, x: str, y: str, /, **wanted: Any) -> tuple[float, float]:
        """Where the first row of the data with these values is drawn."""
        return tuple(self.page.evaluate(PIXEL, [chart, data, wanted, x, y]))

    def data(self, chart: str, name: str = "points") -> list[dict]:
        return self.page.evaluate("([c, n]) => rnnlab.charts.get(c).view.data(n)", [chart, name])

    def state(self, name: str) -> Any:
        return self.page.evaluate(
            "(name) => name === 'selected' ? [...rnnlab.state.selected.keys()] : rnnlab.state[name]", name
        )

    def shown(self) -> list[str]:
        return self.page.evaluate("rnnlab.state.shown.map((run) => run.run)")

    def select(self, *ids: str) -> None:
        self.page.evaluate("(ids) => rnnlab.select(ids)", list(ids))
        self.settle()

    def choose(self, field: str, value: str) -> None:
        self.page.select_option(field, value)
        self.settle()


def ids(payload: dict, test: Callable[[dict], bool]) -> set[str]:
    return {run["run"] for run in payload["runs"] if test(run)}


def of(payload: dict, name: str) -> dict:
    return next(run for run in payload["runs"] if run["run"] == name)
