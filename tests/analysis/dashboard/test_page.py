"""The page as a file: what stands in it, and that none of it names a place to fetch from."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from analysis.dashboard import page as dashboard
from tests.analysis import payloads

VENDOR = Path(dashboard.__file__).parent / "page" / "vendor"
SHA256 = {
    "vega.min.js": "8f6a3587cf8d4f42c7e08120e3eb05d067e746d554e39d2dcf52acc0bd5ba28f",
    "vega-lite.min.js": "35a9821df838825b05a6a73e9414b58747a1b18321583858ed903c66393a5c7e",
}
NAMED = {"www.w3.org", "github.com", "vega.github.io"}  # namespaces of XML, and texts of messages


def test_the_charts_library_is_the_one_that_its_page_names():
    about = (VENDOR / "README.md").read_text()
    for name, digest in SHA256.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
        assert digest in about


@pytest.mark.parametrize("name", SHA256)
def test_the_charts_library_names_no_place_to_fetch_from(name):
    hosts = re.findall(r"\b(?:https?|wss?)://([\w.-]+)", (VENDOR / name).read_text("utf-8"))
    assert set(hosts) <= NAMED


def test_the_same_payload_gives_the_same_bytes_and_no_text_of_it_ends_a_script():
    nasty = payloads.sweep(seeds=1, name="</script><script>alert(1)</script>")
    text = dashboard.html(nasty)
    assert text == dashboard.html(nasty)
    assert base64.b64decode(dashboard.packed(nasty))[4:8] == bytes(4)  # no time of day in the gzip
    assert text.count("</script") == dashboard.html(payloads.sweep(seeds=1)).count("</script") == 5
    assert "{{" not in text.split("<script id=", 1)[0]


def test_every_file_of_the_page_is_in_it():
    folder = Path(dashboard.__file__).parent / "page"
    assert {path.name for path in folder.glob("*.js")} == set(dashboard.SCRIPTS)
    assert len(dashboard.SCRIPTS) == len(set(dashboard.SCRIPTS))
