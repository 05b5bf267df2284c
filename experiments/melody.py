"""From the tokens of a tune (rnnlab.tasks.data.abc) to what is heard: bars of notes, and the bars with their repeats.

    a > b   3/2 and 1/2 of their lengths       (3 a b c   three in the time of two       a - a   one note

An accidental holds for its letter, in every octave, up to the next bar (ABC 2.1, section 4.2).
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from rnnlab.tasks.data import abc

FIFTHS = {letter: k - 1 for k, letter in enumerate("FCGDAEB")}  # sharps of the major key
MODES = {"": 0, "m": -3, "dor": -2, "mix": -1, "lyd": 1, "phr": -4, "loc": -5}
SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
SIGNS = {"^": 1, "_": -1, "=": 0}
MIDDLE_C = 60
IN_THE_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # other tuplets: 3 in a compound meter, else 2


class Note(NamedTuple):
    """What sounds at once, as MIDI numbers; none for a rest. Its length in whole notes."""

    keys: tuple[int, ...]
    length: Fraction
    held: bool = False  # tied to the one before


class Bar(NamedTuple):
    """Notes between two bar lines.

    Attributes:
        meter: the length that it should have, in whole notes.
        opens, closes: whether a repeat begins and ends with it.
        ends: whether something else than a single bar line follows: a repeat, a double bar, the end.
        ending: 1 or 2 (or more) within an ending, else 0.
    """

    notes: tuple[Note, ...]
    meter: Fraction
    opens: bool
    closes: bool
    ends: bool
    ending: int

    @property
    def length(self) -> Fraction:
        return sum((note.length for note in self.notes), Fraction())


class Reader:
    """The state of reading: the signature, what holds in this bar, what the next note is subject to."""

    def __init__(self, header: Sequence[str]):
        self.unit = self.meter = Fraction(1)
        self.signature: dict[str, int] = {}
        self.compound = False
        for token in header:
            self.field(token)
        self.begin_bar()
        self.tuplet, self.left = Fraction(1), 0
        self.held = False

    def begin_bar(self) -> None:
        self.notes: list[Note] = []
        self.accidentals: dict[str, int] = {}
        self.broken = Fraction(1)

    def field(self, token: str) -> None:
        name, value = token.split(":", 1)
        if name == "M":
            self.meter, self.compound = abc.meter(value), value in ("6/8", "9/8", "12/8")
        elif name == "L":
            self.unit = abc.meter(value)
        else:
            self.signature = signature(value)

    def key(self, pitch: str) -> int:
        """The MIDI number of a pitch such as ^F, or =c'; a sign holds from here on."""
        sign, letter, octave = re.fullmatch(r"(\^*|_*|=)([A-Ga-g])(,*|'*)", pitch).groups()
        name = letter.upper()
        if sign:
            self.accidentals[name] = sum(SIGNS[s] for s in sign)
        raised = self.accidentals.get(name, self.signature.get(name, 0))
        octaves = letter.islower() + octave.count("'") - octave.count(",")
        return MIDDLE_C + SEMITONES[name] + 12 * octaves + raised

    def sound(self, token: str) -> None:
        """A note, a rest or a chord, which is as long as its first note."""
        inner, outer = token[1:].split("]") if token[0] == "[" else (token, "")
        found = abc.SOUND.findall(inner)
        keys = tuple(self.key(pitch) for pitch, _ in found if pitch != "z")
        length = self.unit * abc.multiple(found[0][1]) * abc.multiple(outer) * self.broken
        if self.left:
            self.left -= 1
            length *= self.tuplet
        self.notes.append(Note(keys, length, self.held))
        self.broken, self.held = Fraction(1), False

    def mark(self, token: str) -> None:
        """Broken rhythm, a tie or a tuplet."""
        if token[0] == "(":
            if self.left or self.broken != 1:
                raise ValueError(f"a tune needs what is begun complete before a tuplet, got {token} after {self.notes}")
            self.left = int(token[1])
            self.tuplet = Fraction(IN_THE_TIME_OF.get(self.left, 3 if self.compound else 2), self.left)
        elif not self.notes or self.broken != 1:
            raise ValueError(f"a tune needs a note before {token}")
        elif token == "-":
            self.held = True
        else:
            short = Fraction(1, 2 ** len(token))
            first, self.broken = (2 - short, short) if token[0] == ">" else (short, 2 - short)
            self.notes[-1] = self.notes[-1]._replace(length=self.notes[-1].length * first)

    def end_bar(self) -> tuple[Note, ...]:
        if self.broken != 1 or self.left:
            raise ValueError(f"a tune needs what is begun complete at each bar, got {self.notes}")
        notes = tuple(self.notes)
        self.begin_bar()
        return notes


def signature(key: str) -> dict[str, int]:
    """The letters that a key such as Bb or Edor raises (1) or lowers (-1).

    Raises:
        ValueError: a mode that is not known, or more than seven signs.
    """
    tonic, sign, mode = re.fullmatch(r"([A-G])([#b]?)(.*)", key).groups()
    sharps = FIFTHS[tonic] + {"#": 7, "b": -7, "": 0}[sign] + MODES.get(mode, 99)
    if abs(sharps) > 7:
        raise ValueError(f"a tune needs a key of up to seven sharps or flats, got {key!r}")
    return dict.fromkeys("FCGDAEB"[: max(sharps, 0)], 1) | dict.fromkeys("BEADGCF"[: max(-sharps, 0)], -1)


def bars(tokens: Sequence[str]) -> list[Bar]:
    """The bars of a tune as they are written; a bar without notes, as before a first `|:`, is none.

    Raises:
        ValueError: tokens that are no tune: `abc.text` and `abc.tokens` do not give them back, or a broken rhythm or a
            tuplet is not complete within its bar.
    """
    if abc.tokens(abc.text(tokens)) != list(tokens):
        raise ValueError("a tune needs its tokens in an order that can be read back")
    reader, found, opens, ending = Reader(tokens[:3]), [], False, 0
    for token in [*tokens[3:], *(["|]"] if tokens[-1] not in abc.BARS else [])]:
        if token in abc.BARS:
            meter, notes = reader.meter, reader.end_bar()
            if notes:
                found.append(Bar(notes, meter, opens, token in (":|", "::"), token != "|", ending))
            opens, ending = token in ("|:", "::"), ending if token == "|" else 0
        elif abc.is_ending(token):
            ending = int(token[1])
        elif abc.is_field(token):
            reader.field(token)
        elif token[0] in "><-(":
            reader.mark(token)
        else:
            reader.sound(token)
    return found


def unfolded(bars: Sequence[Bar]) -> Iterator[Bar]:
    """The bars as they are played: repeats twice, the first ending the first time alone.

    A repeat without a beginning goes back to the last part: a double bar, another repeat, the beginning of the tune.
    """
    start, marked, again, k = 0, False, False, 0
    while k < len(bars):
        bar = bars[k]
        if k != start and (bar.opens or (bars[k - 1].ending and not bar.ending)):
            start, again = k, False
        if k == start:
            marked = bar.opens
        skipped = again and bar.ending == 1
        if not skipped:
            yield bar
        if bar.closes and not again:
            k, again = start, True
            continue
        if (bar.closes and not skipped) or (bar.ends and not marked and not bar.ending and not again):
            start, again = k + 1, False
        k += 1


def uneven(bars: Sequence[Bar]) -> int:
    """How many bars are not as long as the meter says, but for the first and the last of a part, which share one."""
    inner = (bar for before, bar in itertools.pairwise(bars) if not before.ends and not bar.ends)
    return sum(bar.length != bar.meter for bar in inner)
