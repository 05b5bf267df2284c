"""From tokens to notes and to a MIDI file, against arithmetic and a reader of MIDI written for this test."""

from fractions import Fraction

import pytest

from experiments import melody, midi
from experiments.melody import Note
from rnnlab.tasks.data import abc
from tests.rnnlab.tasks import fiddle

E = Fraction(1, 8)


def bars(body: str, head="M:C L:1/8 K:C") -> list[melody.Bar]:
    return melody.bars(f"{head} {body}".split())


def keys(body: str, head="M:C L:1/8 K:C") -> list[int]:
    return [key for bar in bars(body, head) for note in bar.notes for key in note.keys]


def lengths(body: str, head="M:C L:1/8 K:C") -> list[Fraction]:
    return [note.length / E for bar in bars(body, head) for note in bar.notes]


def heard(body: str) -> str:
    """The letters of the bars as they are played; each bar has one note."""
    names = {melody.MIDDLE_C + tone: letter for letter, tone in melody.SEMITONES.items()}
    return "".join(names[note.keys[0]] for bar in melody.unfolded(bars(body)) for note in bar.notes)


def test_pitches_are_midi_numbers():
    assert keys("C D E F G A B c b c' C, C,, |") == [60, 62, 64, 65, 67, 69, 71, 72, 83, 84, 48, 36]
    assert keys("^C _D =E ^^F __B |") == [61, 61, 64, 67, 69]


@pytest.mark.parametrize(
    ("key", "raised", "lowered"),
    [
        *[("C", "", ""), ("G", "F", ""), ("A", "FCG", ""), ("F", "", "B"), ("Eb", "", "BEA"), ("C#", "FCGDAEB", "")],
        *[("Am", "", ""), ("Em", "F", ""), ("Gm", "", "BE"), ("F#m", "FCG", ""), ("Ador", "F", ""), ("Dmix", "F", "")],
        *[("Glyd", "FC", ""), ("Ephr", "", ""), ("Bloc", "", ""), ("Cb", "", "BEADGCF")],
    ],
)
def test_the_signature_of_a_key(key, raised, lowered):
    assert melody.signature(key) == dict.fromkeys(raised, 1) | dict.fromkeys(lowered, -1)
    plain = dict(zip("CDEFGAB", keys("C D E F G A B |"), strict=True))
    expected = [plain[letter] + (letter in raised) - (letter in lowered) for letter in "CDEFGAB"]
    assert keys("C D E F G A B |", f"M:C L:1/8 K:{key}") == expected


@pytest.mark.parametrize("key", ["Gsharp", "G#", "Fbm"])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(ValueError, match=rf"^a tune needs a key of up to seven sharps or flats, got {key!r}$"):
        melody.signature(key)


def test_an_accidental_holds_for_its_letter_up_to_the_bar():
    assert keys("F ^F F f =F F | F |", "M:C L:1/8 K:D") == [66, 66, 66, 78, 65, 65, 66]


def test_lengths_are_in_whole_notes():
    assert lengths("A A2 A/ A/4 A3/2 z4 [c2E] [ce]2 |") == [1, 2, 1 / 2, 1 / 4, 3 / 2, 4, 2, 2]
    assert lengths("A A2 |", "M:2/4 L:1/16 K:C") == [1 / 2, 1]
    assert lengths("A L:1/16 A | A |") == [1, 1 / 2, 1 / 2]


def test_broken_rhythm_gives_to_one_note_what_it_takes_from_the_other():
    assert lengths("A > B c < d A2 > B2 A >> B c << d |") == [1.5, 0.5, 0.5, 1.5, 3, 1, 1.75, 0.25, 0.25, 1.75]


def test_tuplets_are_played_in_the_time_of_others():
    third = Fraction(2, 3)
    assert (
        lengths("(3 A B c d (2 A B (4 A B c d (6 A B c d e f |")
        == [third] * 3 + [1] + [1.5] * 2 + [0.75] * 4 + [Fraction(1, 3)] * 6
    )
    assert lengths("(5 A A A A A |") == [Fraction(2, 5)] * 5
    assert lengths("(5 A A A A A |", "M:6/8 L:1/8 K:C") == [Fraction(3, 5)] * 5
    assert lengths("(3 A > B c |") == [1, third / 2, third]


def test_bars_know_their_meter_repeats_and_endings():
    found = bars("A |: B | [1 c :| [2 d | e || M:2/4 f |] g")
    assert [bar.notes[0].keys[0] for bar in found] == keys("A B c d e f g |")
    assert [bar.opens for bar in found] == [False, True, False, False, False, False, False]
    assert [bar.closes for bar in found] == [False, False, True, False, False, False, False]
    assert [bar.ends for bar in found] == [True, False, True, False, True, True, True]
    assert [bar.ending for bar in found] == [0, 0, 1, 2, 2, 0, 0]
    assert [bar.meter for bar in found] == [1, 1, 1, 1, 1, E * 4, E * 4]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C | D | E |]", "CDE"),
        ("|: C | D :| E |]", "CDCDE"),
        ("C | D :| E | F :|", "CDCDEFEF"),
        ("C | D :: E | F :| G |]", "CDCDEFEFG"),
        ("C |: D | [1 E :| [2 F |]", "CDEDF"),
        ("C | [1 D :| [2 E || F | G :|", "CDCEFGFG"),
        ("|: C | [1 D | E :| [2 F | G |: A | B :|", "CDECFGABAB"),
        ("|: C | [1 D :| [2 E :| F | G :|", "CDCEFGFG"),
        ("C | D || E | F :|", "CDEFEF"),
        ("|: C || D :| E |]", "CDCDE"),
        ("|: C :| D |: E :|", "CCDEE"),
        ("|: C |: D :| E |]", "CDDE"),
        ("|: C | [1 D :| E | F :|", "CDCEFEF"),
    ],
)
def test_repeats_are_played_twice_with_the_first_ending_once(body, expected):
    assert heard(body) == expected


def test_uneven_bars_are_counted_but_for_the_ends_of_parts():
    assert melody.uneven(bars("A |: c4 c4 | c4 c2 | c8 | c4 :: A | c8 | c8 | c4 c4 |]")) == 1
    assert melody.uneven(bars("A | c8 | (3 c2 c2 c2 c > c c2 | c4 |]")) == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("A > > B |", "an order that can be read back"),
        ("> B |", "a note before >"),
        ("A | - B |", "a note before -"),
        ("A > | B |", "complete at each bar"),
        ("(3 A B | c |", "complete at each bar"),
        ("(3 A B (3 A B c |", "complete before a tuplet"),
        ("A > (3 A B c |", "complete before a tuplet"),
        ("A [1 B |", "notes, chords, bars and marks, got '\\[1 B"),
        ("A | | B |", "an order that can be read back"),
        ("A K:Dsad |", "seven sharps or flats, got 'Dsad'"),
    ],
)
def test_what_is_no_tune_is_refused(body, message):
    with pytest.raises(ValueError, match=rf"^a tune needs .*{message}"):
        bars(body)


def test_every_fabricated_tune_is_read_and_its_bars_add_up():
    for tune in abc.tunes(fiddle.book(20)):
        found = melody.bars(abc.tokens(tune))
        assert len(found) == 10
        assert all(bar.length == bar.meter for bar in found)
        assert len(list(melody.unfolded(found))) == 2 * 4 + 2 * 5


Event = tuple[int, int, tuple[int, ...]]


def read(content: bytes) -> tuple[int, list[Event]]:
    """Ticks of a quarter, and (tick, status, data) of each event of a format 0 file, by the letter of the standard."""
    assert content[:8] == b"MThd\0\0\0\6"
    form, tracks, ticks = (int.from_bytes(content[k : k + 2], "big") for k in (8, 10, 12))
    assert (form, tracks, content[14:18]) == (0, 1, b"MTrk")
    track = content[22:]
    assert len(track) == int.from_bytes(content[18:22], "big")
    now, place, events = 0, 0, []
    while place < len(track):
        delta = 0
        while True:
            delta, place = delta << 7 | track[place] & 0x7F, place + 1
            if not track[place - 1] & 0x80:
                break
        now, status = now + delta, track[place]
        if status == 0xFF:
            size, place = track[place + 2], place + 1
            events.append((now, track[place] << 8 | status, tuple(track[place + 2 : place + 2 + size])))
            place += 2 + size
        else:
            size = 1 if status >> 4 == 0xC else 2
            events.append((now, status, tuple(track[place + 1 : place + 1 + size])))
            place += 1 + size
    return ticks, events


def test_the_midi_file_plays_the_notes_when_and_as_long_as_they_say():
    notes = [Note((60, 64), E), Note((62,), 9 * E), Note((), E), Note((62,), E / 3), Note((62,), E / 3)]
    ticks, events = read(midi.written(notes, quarter=0.25))
    eighth = ticks // 2
    assert events[0] == (0, 0x51FF, (3, 0xD0, 0x90))  # 250,000 microseconds
    assert events[1] == (0, 0xC0, (midi.VIOLIN,))
    assert events[-1] == (12 * eighth - eighth // 3, 0x2FFF, ())
    on = [(tick, data[0]) for tick, status, data in events if status == 0x90]
    off = [(tick, data[0]) for tick, status, data in events if status == 0x80]
    third = eighth // 3
    assert on == [(0, 60), (0, 64), (eighth, 62), (11 * eighth, 62), (11 * eighth + third, 62)]
    assert off == [
        (eighth, 60),
        (eighth, 64),
        (10 * eighth, 62),
        (11 * eighth + third, 62),
        (11 * eighth + 2 * third, 62),
    ]
    statuses = [status for tick, status, _ in events if tick == 11 * eighth + third]
    assert statuses == [0x80, 0x90]  # off before on, or the second note would be cut


def test_a_tie_is_one_note_and_rounding_does_not_add_up():
    tied = [note for bar in bars("A2 - | A A - B |") for note in bar.notes]
    ticks, events = read(midi.written(tied, quarter=1.0))
    on = [(tick, data[0]) for tick, status, data in events if status == 0x90]
    assert on == [(0, 69), (3 * ticks // 2, 69), (2 * ticks, 71)]
    sevenths = [Note((60 + k % 2,), Fraction(1, 7 * 128)) for k in range(7 * 128 * 4)]
    assert read(midi.written(sevenths, quarter=1.0))[1][-1][0] == 4 * 4 * ticks


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "00"), (0x7F, "7f"), (0x80, "8100"), (0x3FFF, "ff7f"), (0x4000, "818000"), (0x0FFFFFFF, "ffffff7f")],
)
def test_variable_lengths_are_those_of_the_table_in_the_standard(number, expected):
    assert midi.variable(number).hex() == expected
