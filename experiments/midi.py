"""Notes as a standard MIDI file of one track (format 0).

Reference: Standard MIDI Files 1.0, MIDI Manufacturers Association, 1988.
"""

import struct
from collections.abc import Iterable
from fractions import Fraction

from experiments.melody import Note

TICKS = 480  # of a quarter note
VIOLIN = 40
LOUD = 90


def written(notes: Iterable[Note], quarter: float) -> bytes:
    """The bytes of the file.

    Args:
        quarter: seconds of a quarter note.
    """
    events: list[tuple[int, int, bytes]] = []  # tick, order within it, message
    start, sounding = Fraction(), ()
    for note in [*notes, Note((), Fraction())]:
        tick = round(4 * TICKS * start)
        if not note.held or note.keys != sounding:
            events += [(tick, 0, bytes([0x80, key, 0])) for key in sounding]
            events += [(tick, 1, bytes([0x90, key, LOUD])) for key in note.keys]
            sounding = note.keys
        start += note.length
    head = b"\x00\xff\x51\x03" + round(1e6 * quarter).to_bytes(3, "big") + b"\x00" + bytes([0xC0, VIOLIN])
    track, last = bytearray(head), 0
    for tick, _, message in sorted(events):
        track += variable(tick - last) + message
        last = tick
    track += b"\x00\xff\x2f\x00"
    return struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS) + struct.pack(">4sI", b"MTrk", len(track)) + track


def variable(number: int) -> bytes:
    """Seven bits to a byte, the highest first; all bytes but the last have their eighth bit set."""
    found = [number & 0x7F]
    while number := number >> 7:
        found.append(0x80 | (number & 0x7F))
    return bytes(reversed(found))
