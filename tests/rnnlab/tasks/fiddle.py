"""A tunebook that nobody has played: random walks on a scale, in the notation and the four genres of the real one."""

import random

from rnnlab.tasks import data
from rnnlab.tasks.data import rebuild, tunebook

NOTES = ["G,", "A,", "B,", *"CDEFGABcdefgab"]
RHYTHMS = {  # of a bar; every piece but the rest is a note one step up or down the scale
    "reel": ("C|", "1/8", ["xxxx xxxx", "(3xxxxx xxxx", "x2xx xxxx", '"4"x.x(xx) {x}x3z']),
    "hornpipe": ("2/4", "1/16", ["xxxx xxxx", "x2x2 x2x2", "vxxxx !sf!x4", "x/x/xxx ux3x"]),
    "jig": ("6/8", "1/8", ["xxx xxx", "x2x x3", "~x3 x2z", "(xx)x-xxx"]),
    "strathspey": ("C", "1/8", ["x>xx<x x>xx<x", "x2x>x x2x2", "x<x x>x (3xxx x2", "[x2x2]x>x x4"]),
}


def book(tunes: int, seed: int = 0) -> str:
    """That many tunes, one after the other; the first of each four is a reel."""
    generator = random.Random(seed)
    return "\n\n".join(tune(k, generator) for k in range(tunes))


def tune(number: int, generator: random.Random) -> str:
    genre = list(RHYTHMS)[number % 4]
    meter, unit, rhythms = RHYTHMS[genre]
    place = len(NOTES) // 2
    parts = []
    for ends in (":|", "|1 {} :|2 {} |]"):
        bars = []
        for _ in range(6):
            bar = ""
            for sign in generator.choice(rhythms):
                if sign == "x":
                    place = min(max(place + generator.choice((-2, -1, 1, 2)), 0), len(NOTES) - 1)
                bar += (generator.choice(["", "", "", "", "^"]) + NOTES[place]) if sign == "x" else sign
            bars.append(bar)
        parts.append("|:" + " | ".join(bars[:4]) + " " + ends.format(*bars[4:]))
    head = f"X:{number}\nT:Nobody's No. {number}\nR: {genre}\nM:{meter}\nL: {unit}\nK:{generator.choice('GDA')}"
    return f"{head}\n{parts[0]}\n{parts[1]} % end\n"


def write(tunes: int) -> None:
    """Rebuild tunes.npz from the book, where the reader looks for it."""
    folder = data.own_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tunes.npz").write_bytes(rebuild.pack(tunebook.arrays(book(tunes).encode())))
