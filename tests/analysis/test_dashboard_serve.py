"""The server by its answers: from this machine, over a folder that changes under it."""

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from analysis.dashboard import serve
from analysis.dashboard.collect import Collector

ROOT = Path(__file__).parents[2]


@pytest.fixture
def started(monkeypatch):
    """Starts servers whose source looks at every request, and ends them."""
    monkeypatch.setattr(serve, "PAUSE", 0.0)
    monkeypatch.setattr(serve, "SHARE", 0)
    servers = []

    def start(folder, port=0):
        collector = Collector(folder)
        collector.refresh()
        one = serve.server(port, "<p>page</p>", serve.Source(collector))
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((one, thread))
        return one

    yield start
    for one, thread in servers:
        one.shutdown()
        thread.join()
        one.server_close()


def ask(one, path="/payload.json", method="GET", **headers):
    connection = http.client.HTTPConnection(*one.server_address, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def payload(one):
    answer, body = ask(one)
    assert answer.status == 200
    return json.loads(body)


def test_it_gives_the_page_and_the_payload_and_nothing_else(tmp_path, fabricate, started):
    fabricate.run(tmp_path / "sweep", "a")
    one = started(tmp_path / "sweep")
    assert one.server_address[0] == "127.0.0.1"
    answer, body = ask(one, "/")
    assert (answer.status, body) == (200, b"<p>page</p>")
    answer, body = ask(one, "/payload.json", Accept_Encoding="gzip, br")
    assert answer.headers["Content-Encoding"] == "gzip"
    found = json.loads(gzip.decompress(body))
    assert (found["name"], [run["run"] for run in found["runs"]]) == ("sweep", ["a"])
    assert found == payload(one)  # without gzip
    for path in ("/a/config.json", "/../sweep", "/payload"):
        assert ask(one, path)[0].status == 404
    answer, body = ask(one, method="HEAD")
    assert (answer.status, body) == (200, b"")


def test_what_has_not_changed_is_not_sent_again(tmp_path, fabricate, started):
    fabricate.run(tmp_path, "a")
    one = started(tmp_path)
    tag = ask(one)[0].headers["ETag"]
    answer, body = ask(one, If_None_Match=tag)
    assert (answer.status, body, answer.headers["ETag"]) == (304, b"", tag)
    fabricate.run(tmp_path, "b", seed=1)
    answer, body = ask(one, If_None_Match=tag)
    assert answer.status == 200
    assert answer.headers["ETag"] != tag
    assert [run["run"] for run in json.loads(body)["runs"]] == ["a", "b"]
    tag = answer.headers["ETag"]
    with (tmp_path / "a" / "scalars.jsonl").open("a") as file:
        file.write(json.dumps({"step": 120, "train/loss": 0.05}) + "\n")
    assert ask(one, If_None_Match=tag)[0].status == 200


def test_it_begins_before_the_first_run_and_follows_it_to_its_end(tmp_path, fabricate, started):
    folder = tmp_path / "sweep"
    folder.mkdir()
    one = started(folder)
    assert payload(one)["runs"] == []
    fabricate.run(tmp_path / "made", "a")
    (folder / "a").mkdir()
    (folder / "a" / "running.json").write_text("{}")
    assert payload(one)["runs"] == []
    seen = []
    for name in ("config.json", "scalars.jsonl", "profiles.npz", "done.json"):
        os.replace(tmp_path / "made" / "a" / name, folder / "a" / name)
        (run,) = payload(one)["runs"]
        seen.append((run["outcome"], run["step"], run["profiles"] is not None))
    assert seen == [("running", None, False), ("running", 100, False), ("running", 100, True), ("solved", 100, True)]


def test_torn_files_and_a_folder_that_goes_do_not_end_it(tmp_path, fabricate, started):
    folder = tmp_path / "sweep"
    fabricate.run(folder, "a")
    path = fabricate.run(folder, "b", outcome=None, seed=1)
    one = started(folder)
    whole = (path / "scalars.jsonl").read_bytes()
    for size in range(0, len(whole), 97):
        (path / "scalars.jsonl").write_bytes(whole[:size])
        assert len(payload(one)["runs"]) == 2
    (path / "config.json").write_text('{"run"')
    found = payload(one)
    assert [run["run"] for run in found["runs"]] == ["a"]
    assert list(found["left_out"]) == ["b"]
    folder.rename(tmp_path / "elsewhere")
    assert payload(one)["runs"] == []
    (tmp_path / "elsewhere").rename(folder)
    assert [run["run"] for run in payload(one)["runs"]] == ["a"]


def test_a_look_at_the_folder_is_not_waited_for_and_not_taken_too_often(tmp_path, fabricate):
    fabricate.run(tmp_path, "a")
    collector = Collector(tmp_path)
    collector.refresh()
    source = serve.Source(collector)
    begun, go_on, looks = threading.Event(), threading.Event(), []

    def slow():
        looks.append(1)
        begun.set()
        assert go_on.wait(60)
        return False

    collector.refresh = slow
    first = threading.Thread(target=source.latest)
    first.start()
    assert begun.wait(60)
    assert source.latest()[1]  # while the first one still looks
    go_on.set()
    first.join()
    source.latest()
    assert looks == [1]  # the last one was a moment ago


def test_a_port_that_is_taken_is_refused_or_left_for_the_next(tmp_path, monkeypatch, started):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"--port needs one that is free, got {port} "):
            started(tmp_path, port)
        monkeypatch.setattr(serve, "PORT", port)
        assert port < started(tmp_path, None).server_address[1] < port + serve.TRIES


def test_ctrl_c_ends_it_without_a_word(tmp_path, fabricate):
    fabricate.run(tmp_path / "sweep", "a")
    line = [sys.executable, "-m", "analysis.dashboard", "sweep", "--outputs", str(tmp_path), "--serve", "--port", "0"]
    # A suite that runs in the background of a shell ignores Ctrl-C, and so would this.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(line, cwd=ROOT, **pipes, **heard) as process:
        try:
            said = process.stdout.readline()
            assert "http://127.0.0.1:" in said
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    assert "Traceback" not in out
