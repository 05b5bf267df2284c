"""Tunes in ABC notation as tokens, and back.

    M:6/8 L:1/8 K:G |: G2 B d ^c > d [1 B3 :| [2 G3 |]

A tune is its meter, unit length and key, then what is played: notes and rests with accidental, octave and length,
chords, broken rhythm, tuplets, ties, bars, repeats, endings, and changes of meter, unit length and key. How to play it
is dropped: grace notes, slurs, decorations, bowing, fingering, words between quotes, and spaces (which make beams).

Each thing has one spelling: a length is `2`, `3/2`, `/` or `/4` (not `1`, `/2`, `//`), an ending `| [1` (not `|1`), a
double bar `||` (not `[|`), a key `Am` or `Edor` (not `Amin`, `E dorian`); bars with nothing in between are one.

Reference:
    The ABC music standard 2.1, 2011.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

HEADER = ("M", "L", "K")  # in this order
BARS = ("|", "||", "|]", "|:", ":|", "::")
PITCH = r"(?:\^\^?|__?|=)?[A-Ga-g](?:,+|'+)?"
LENGTH = r"\d*(?:/+\d*)?"
KINDS = {  # tried in this order
    "dropped": r'"[^"]*"|\{[^}]*\}|![^!|\s]+!|\((?!\d)|[!\\).~H-Wh-wy\s]',
    "note": rf"(?:{PITCH}|[zx]){LENGTH}",
    "bar": r"(?:\[?\||:)\]?",
    "field": r"\[[A-Za-z]:[^\]]*\]",
    "ending": r"\[?\d",
    "mark": r">{1,2}|<{1,2}|-|\([2-9](?!:)",
    "chord": rf"\[(?:{PITCH}{LENGTH})+\]{LENGTH}",
}
PIECE = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in KINDS.items()))
SOUND = re.compile(rf"({PITCH}|[zx])({LENGTH})")


def tunes(book: str) -> list[str]:
    """The tunes of a tunebook: each begins with its field X: and ends before an empty line."""
    return [tune.split("\n\n")[0] for tune in re.split(r"(?m)^(?=X:)", book.replace("\r", ""))[1:]]


def field(tune: str, name: str) -> str:
    """What the first field of that letter says; empty if there is none."""
    found = re.search(rf"(?m)^{name}:([^%\n]*)", tune)
    return found[1].strip() if found else ""


def tokens(tune: str) -> list[str]:
    """The tokens of a tune: M:, L: and K: first, then what is played.

    Raises:
        ValueError: a tune without meter or key, or with something that is not read here.
    """
    head, key, body = re.split(r"(?m)^(K:.*)$", f"{tune}\nK:", maxsplit=1)
    meter, unit = (field(head, name) for name in "ML")
    first = spelled_field(f"M:{meter}"), spelled_field(f"L:{unit or default_unit(meter)}"), spelled_field(key)
    lines = (re.sub(r"%.*", "", line) for line in body.removesuffix("\nK:").splitlines())
    return [*first, *_played("\n".join(re.sub(r"^([A-Za-z]:(?![|:\]]).*)$", r"[\1]", line) for line in lines))]


def text(tokens: Sequence[str]) -> str:
    """The tune in lines of ABC, four bars to a line; `tokens` reads the same from it.

    Raises:
        ValueError: if the first three tokens are not M:, L: and K:.
    """
    if [token[:2] for token in tokens[:3]] != [f"{name}:" for name in HEADER]:
        raise ValueError(f"a tune needs to begin with M: L: K:, got {' '.join(tokens[:3])!r}")
    lines, bars = [*tokens[:3], ""], 0
    for token in tokens[3:]:
        if token in BARS:
            bars += 1
            lines[-1] += f" {token} "
            lines += [""] * (bars % 4 == 0)
        else:
            lines[-1] += f"[{token}]" if is_field(token) else token + " " * is_ending(token)
    return "".join(f"{line.strip()}\n" for line in lines if line.strip())


def is_field(token: str) -> bool:
    return token[1:2] == ":" and token[0] in HEADER


def is_ending(token: str) -> bool:
    return token[0] == "[" and token[1:].isdigit()


def meter(value: str) -> Fraction:
    """Length of a bar in whole notes: 3/4 of `6/8`; `C` is 4/4 and `C|` 2/2.

    Raises:
        ValueError: something else.
    """
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", {"C": "4/4", "C|": "2/2"}.get(value, value))
    if found is None:
        raise ValueError(f"a tune needs a meter such as 6/8, C or C|, got {value!r}")
    return Fraction(int(found[1]), int(found[2]))


def default_unit(value: str) -> str:
    """The unit length of a tune that does not say it."""
    return "1/16" if meter(value) < Fraction(3, 4) else "1/8"


def multiple(length: str) -> Fraction:
    """How many unit lengths a length is: 1 for an empty text, 3/2 for `3/2`, 1/2 for `/`, 1/4 for `//` and `/4`."""
    above, slashes, below = re.fullmatch(r"(\d*)(/*)(\d*)", length).groups()
    return Fraction(int(above or 1), int(below) if below else 2 ** len(slashes))


def spelled_length(length: str) -> str:
    value = str(multiple(length))
    return {"1": "", "1/2": "/"}.get(value, value.removeprefix("1") if value.startswith("1/") else value)


def spelled_field(token: str) -> str:
    """`M:C|` of `M: C |`, `K:Am` of `K: A minor`, `K:D` of `K:D major`; what follows the mode is dropped."""
    name, value = token[0], token[2:].strip()
    if name == "M":
        meter(value.replace(" ", ""))
    if name != "K":
        return f"{name}:{value.replace(' ', '')}"
    found = re.match(r"([A-G][#b]?)\s*([A-Za-z]*)", value)
    if found is None:
        raise ValueError(f"a tune needs a key from A to G, got {value!r}")
    mode = found[2] if found[2] in ("m", "M") else found[2].lower()[:3]
    return f"K:{found[1]}" + {"M": "", "maj": "", "ion": "", "min": "m", "aeo": "m"}.get(mode, mode)


def _played(body: str) -> Iterator[str]:
    place, signs = 0, ""
    while place < len(body):
        found = PIECE.match(body, place)
        kind = found.lastgroup if found else ""
        if not found or (kind == "ending" and not signs):
            raise ValueError(f"a tune needs to be notes, chords, bars and marks, got {body[place : place + 10]!r}")
        place = found.end()
        if kind == "bar":
            signs += found[0]
        elif kind != "dropped":
            if signs:
                yield _spelled_bar(signs)
                signs = ""
            yield from _spelled(kind, found[0])
    if signs:
        yield _spelled_bar(signs)


@functools.cache
def _spelled(kind: str, piece: str) -> tuple[str, ...]:
    if kind == "note":
        return (_spelled_sounds(piece).replace("x", "z"),)
    if kind == "chord":
        notes, length = piece[1:].split("]")
        return (f"[{_spelled_sounds(notes)}]{spelled_length(length)}",)
    if kind == "field":
        return (spelled_field(piece[1:-1]),) if is_field(piece[1:]) else ()
    return (f"[{piece[-1]}",) if kind == "ending" else (piece,)


def _spelled_sounds(notes: str) -> str:
    return "".join(pitch + spelled_length(length) for pitch, length in SOUND.findall(notes))


def _spelled_bar(signs: str) -> str:
    """One of BARS; `signs` are all that stand between two notes, such as `:|` and `|:`."""
    signs = signs.replace("[|]", "") or "||"  # an invisible bar, where something is written above it
    if ":" in signs:
        closes, opens = signs[0] == ":" or ":|" in signs, signs[-1] == ":" and len(signs) > 1
        return "::" if closes and opens else ":|" if closes else "|:"
    return "|]" if "]" in signs else "|" if signs == "|" else "||"
