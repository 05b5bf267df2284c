"""Everything about one sweep on a page that needs no network and no account.

python -m analysis.dashboard horizon             writes dashboards/horizon.html; send it, or open it from disk
python -m analysis.dashboard horizon --serve     the same in the browser, up to date while the sweep runs
"""

import argparse
import sys
import time
from pathlib import Path

from analysis import cli, tables
from analysis.dashboard.collect import Collector, Progress
from analysis.dashboard.page import html
from analysis.dashboard.serve import PORT, Source, server

SILENT = 5.0  # seconds of reading before it says so, and between two lines
LEFT_OUT = 5  # folders named at most


def main(arguments: list[str] | None = None) -> int:
    """Write the page and print its path, or serve it until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.dashboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="of the experiment, or the path of a folder with runs")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where experiments lie (outputs)")
    parser.add_argument("--out", type=Path, help="the file to write, or its folder; dashboards/NAME.html by default")
    parser.add_argument("--scale", choices=tables.SCALES, help="only runs of this scale")
    parser.add_argument("--serve", action="store_true", help="on http://127.0.0.1, read again while the sweep runs")
    parser.add_argument("--port", type=int, help=f"of --serve: 0 takes any; the first free one from {PORT} by default")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    if options.serve and options.out is not None:
        parser.error("--out needs a page that is written, got --serve too: leave one of them out")
    if options.port is not None and not options.serve:
        parser.error("--port needs --serve")
    try:
        collector = Collector(cli.folder_of(options.outputs, options.name), options.scale)
        collector.refresh(_progress())
        _say_left_out(collector.left_out)
        if options.serve:
            return _serve(collector, options.port)
        payload = collector.payload()
        out = options.out or Path("dashboards") / payload["name"]
        out = out / payload["name"] if options.out and out.is_dir() else out
        print(*cli.write(out.with_suffix("") if out.suffix == ".html" else out, {"html": html(payload)}))
        return 0
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return 0 if options.serve else 130


def _serve(collector: Collector, port: int | None) -> int:
    with server(port, html(None), Source(collector)) as running:
        print(f"{collector.folder}: {running.url} (Ctrl-C ends it)", flush=True)
        running.serve_forever()
    return 0


def _progress() -> Progress:
    said = time.monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said > SILENT:
            said = time.monotonic()
            print(f"{done} of {of} runs read", file=sys.stderr, flush=True)

    return progress


def _say_left_out(left_out: dict[str, str]) -> None:
    for name, reason in list(left_out.items())[:LEFT_OUT]:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if len(left_out) > LEFT_OUT:
        print(f"left out: {len(left_out) - LEFT_OUT} more", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
