"""The dashboard as one HTML file that needs nothing else: style, scripts, chart specifications and data stand in it."""

import base64
import gzip
import json
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

PAGE: Traversable = files("analysis") / "dashboard" / "page"
CHARTS: Traversable = files("analysis") / "charts"
SPECS = ("curves", "gradient", "gradient_profile", "horizon", "parallel", "trainability")
# In the order of the file; each is one topic, and what runs at once stands in the last.
SCRIPTS = (
    "payload.js",
    "format.js",
    "state.js",
    "colours.js",
    "dom.js",
    "filter.js",
    "chart.js",
    "table.js",
    "header.js",
    "verdict.js",
    "curves.js",
    "profiles.js",
    "gradient.js",
    "axes.js",
    "horizon.js",
    "brush.js",
    "parallel.js",
    "trainability.js",
    "main.js",
)


def html(payload: dict[str, Any] | None) -> str:
    """The page with the payload in it, the same bytes for the same payload.

    Args:
        payload: what `analysis.dashboard.collect` makes; None: the page is served, and fetches ./payload.json.
    """
    parts = {
        "connect": "'self'" if payload is None else "'none'",
        "style": _text("style.css"),
        "vega": _library("vega"),
        "vega-lite": _library("vega-lite"),
        "charts": _inline({name: json.loads((CHARTS / f"{name}.vl.json").read_text("utf-8")) for name in SPECS}),
        "payload": "" if payload is None else packed(payload),
        "script": "\n".join(_text(name) for name in SCRIPTS),
    }
    return re.sub(r"\{\{([\w-]+)\}\}", lambda match: parts[match[1]], _text("index.html"))


def packed(payload: dict[str, Any]) -> str:
    """The payload as JSON, gzip and base64; no text of it can end a script."""
    text = json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _text(name: str) -> str:
    return (PAGE / name).read_text("utf-8")


def _library(name: str) -> str:
    """A vendored script without the line that would make developer tools ask for its source map."""
    return re.sub(r"\n//# sourceMappingURL=\S+\s*$", "", _text(f"vendor/{name}.min.js"))


def _inline(value: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
