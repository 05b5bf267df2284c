"""From a tunebook to the arrays of tunes.npz: what is left out, what is one tune twice, and the order of the splits."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from rnnlab.tasks.data import abc

GENRES = ("reel", "hornpipe", "jig", "strathspey")
MAIL = {"=\n": "", "=20": " ", "=3D": "="}  # what quoted-printable mail made of some tunes
SHARED = 0.5  # of the different bars of the shorter of two tunes, beyond which they are variants of one

Tune = tuple[str, list[str]]  # genre, tokens


def arrays(raw: bytes) -> dict[str, np.ndarray]:
    """Tokens of all tunes end to end, as numbers of spellings; length and genre of each; the order of the splits."""
    found = list(readable(raw.decode()))
    spellings, numbers = np.unique([token for _, tokens in found for token in tokens], return_inverse=True)
    return {
        "tokens": numbers.astype("<u2"),
        "spellings": spellings.astype(f"<U{max(map(len, spellings))}"),
        "lengths": np.array([len(tokens) for _, tokens in found], "<u2"),
        "genres": np.array([GENRES.index(genre) for genre, _ in found], "uint8"),
        "order": np.array(order([tokens for _, tokens in found]), "<u2"),
    }


def readable(book: str) -> Iterator[Tune]:
    """Genre and tokens of each tune of the four genres that `abc.tokens` reads, once if it is printed twice."""
    for old, new in MAIL.items():
        book = book.replace(old, new)
    seen = set()
    for tune in abc.tunes(book):
        genre = abc.field(tune, "R").lower()
        try:
            tokens = abc.tokens(tune) if genre in GENRES else []
        except ValueError:
            continue
        if tokens and tuple(tokens) not in seen:
            seen.add(tuple(tokens))
            yield genre, tokens


def order(tunes: Sequence[Sequence[str]]) -> list[int]:
    """The tunes shuffled, so that `data.part` cuts no family of variants: what does not fit waits for the next part.

    The gap that it leaves is filled by a tune without variants, as most are; without enough of those a cut may divide.
    The shuffle is numpy.random.RandomState(0), which numpy promises never to change.
    """
    waiting = families([bars(tokens) for tokens in tunes])
    waiting = [waiting[k] for k in np.random.RandomState(0).permutation(len(waiting))]
    found: list[int] = []
    for stop in (3 * len(tunes) // 5, 4 * len(tunes) // 5, len(tunes)):
        later = []
        for family in waiting:
            if len(found) + len(family) <= stop:
                found += family
            else:
                later.append(family)
        waiting = later
    return found


def bars(tokens: Sequence[str]) -> set[tuple[str, ...]]:
    """The different bars of a tune, those of more than three tokens."""
    between = itertools.groupby(tokens[3:], key=lambda token: token in abc.BARS)
    return {bar for is_bar, group in between if not is_bar and len(bar := tuple(group)) > 3}


def families(bars: Sequence[set[tuple[str, ...]]]) -> list[list[int]]:
    """Tunes that are variants of each other, or of a third; most stand alone. In the order of their first."""
    places = defaultdict(list)
    for k, tune in enumerate(bars):
        for bar in tune:
            places[bar].append(k)
    common = Counter(pair for where in places.values() for pair in itertools.combinations(where, 2))
    first = list(range(len(bars)))
    for (a, b), count in sorted(common.items()):
        if count >= SHARED * min(len(bars[a]), len(bars[b])):
            kept, joined = sorted((first[a], first[b]))
            first = [kept if k == joined else k for k in first]
    found = defaultdict(list)
    for k, leader in enumerate(first):
        found[leader].append(k)
    return list(found.values())
