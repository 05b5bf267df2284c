"""The reader of ABC: what it keeps, what it drops, the one spelling of each thing, and the way back to text."""

from fractions import Fraction

import pytest

from rnnlab.tasks.data import abc
from tests.rnnlab.tasks import fiddle

HEAD = "X:1\nT:Nobody's\nM:6/8\nL:1/8\nK:G\n"
FIRST = ["M:6/8", "L:1/8", "K:G"]


def played(body: str) -> list[str]:
    found = abc.tokens(HEAD + body)
    assert found[:3] == FIRST
    return found[3:]


def test_a_tune_is_its_meter_unit_and_key_and_then_what_is_played():
    head = "X: 7\nT:A tune -- Jig\nR: jig\nM: 6/8\nL:1/8\nN:D is not D:\nK: A minor % sad\n"
    tune = head + 'u"4"A2(B>^c) .d|\\\n{ag}=f/2_E//G,, |]'
    assert abc.field(tune, "R") == "jig"
    assert abc.field(tune, "Z") == ""
    assert " ".join(abc.tokens(tune)) == "M:6/8 L:1/8 K:Am A2 B > ^c d | =f/ _E/4 G,, |]"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("A1 A2/2 A/2 A/ A// A/4 A3/2 A3/", "A A A/ A/ A/4 A/4 A3/2 A3/2"),
        ("z x2 z/", "z z2 z/"),
        ("[c2E2] [A/c/2] [gb]3 [^F_e']", "[c2E2] [A/c/] [gb]3 [^F_e']"),
        ("(3ABc (A(3Bcd)) (2de", "(3 A B c A (3 B c d (2 d e"),
        ("A-A A>B A<<B", "A - A A > B A << B"),
        ('~A .B uc vd TA HB !sf!c !4!d !A "tr"B', "A B c d A B c d A B"),
        ("^^A __B =c ^d' _E,,", "^^A __B =c ^d' _E,,"),
        ("A\nw: la la\nB\n%%staffsep 50\nc % end", "A B c"),
        ("A [M:2/4] B [K:D] c\nK: E minor\nd [Q:1/4=90] e", "A M:2/4 B K:D c K:Em d e"),
    ],
)
def test_each_thing_has_one_spelling(body, expected):
    assert played(body) == expected.split(" ")


@pytest.mark.parametrize(
    ("signs", "token"),
    [
        *[(bar, bar) for bar in abc.BARS],
        *[("[|", "||"), ("[|]", "||"), ("||:", "|:"), (":||", ":|"), (":|]", ":|"), (":", ":|"), (":]", ":|")],
        *[(":||:", "::"), (":|:", "::"), (":|\n|:", "::"), ("[|]|]", "|]")],
        *[("[|]:|", ":|"), (": |", ":|"), ("| :|", ":|")],
    ],
)
def test_all_that_stands_between_two_notes_is_one_bar(signs, token):
    assert played(f"zA{signs}B") == ["z", "A", token, "B"]


@pytest.mark.parametrize("body", ["A|1 B:|2 c|]", "A|[1 B:|[2 c|]", "A | [1B :|\n[2 c |]"])
def test_an_ending_stands_behind_its_bar(body):
    assert played(body) == ["A", "|", "[1", "B", ":|", "[2", "c", "|]"]


@pytest.mark.parametrize(
    ("key", "token"),
    [
        *[("G", "K:G"), ("Bb", "K:Bb"), ("F#m", "K:F#m"), ("Amin", "K:Am"), ("A aeolian", "K:Am"), ("EM", "K:E")],
        *[("D major", "K:D"), ("Dmaj", "K:D"), ("Edor", "K:Edor"), ("E Dorian", "K:Edor"), ("DMix % why", "K:Dmix")],
    ],
)
def test_a_key_has_one_spelling(key, token):
    assert abc.tokens(f"M:C|\nL:1/16\nK: {key}\nA")[:3] == ["M:C|", "L:1/16", token]


def test_a_unit_length_that_is_not_said_follows_from_the_meter():
    found = {meter: abc.tokens(f"M:{meter}\nK:G\nA")[1] for meter in ("2/4", "6/8", "C|", "C")}
    assert found == {"2/4": "L:1/16", "6/8": "L:1/8", "C|": "L:1/8", "C": "L:1/8"}


def test_lengths_are_multiples_of_the_unit():
    lengths = {"": 1, "3": 3, "/": "1/2", "//": "1/4", "/4": "1/4", "3/2": "3/2", "3/": "3/2"}
    assert {length: abc.multiple(length) for length in lengths} == {k: Fraction(v) for k, v in lengths.items()}


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        (HEAD + "AB +fa", r"notes, chords, bars and marks, got '\+fa'$"),
        (HEAD + "A (6:6Bc", r"notes, chords, bars and marks, got '\(6:6Bc'$"),
        (HEAD + "A 2B", r"notes, chords, bars and marks, got '2B'$"),
        (HEAD + "A [cz] B", r"notes, chords, bars and marks, got '\[cz\] B'$"),
        ("X:1\nT:x\nM:C\nL:1/8\nAB", r"a tune needs a key from A to G, got ''$"),
        ("X:1\nT:x\nM:C\nK:H\nAB", r"a tune needs a key from A to G, got 'H'$"),
        ("X:1\nT:x\nL:1/8\nK:C\nAB", r"a tune needs a meter such as 6/8, C or C\|, got ''$"),
        ("X:1\nT:x\nM:free\nK:C\nAB", r"a tune needs a meter such as 6/8, C or C\|, got 'free'$"),
    ],
)
def test_what_is_not_read_is_refused(tune, message):
    with pytest.raises(ValueError, match=message):
        abc.tokens(tune)


def test_a_book_is_cut_where_a_tune_begins_and_an_empty_line_ends_it():
    book = "% made by nobody\r\nX:1\r\nT:One\r\nK:C\r\nAB|\r\n\r\nwords\r\nX: 2\r\nT:Two\r\n\r\n\r\nX:3\nT:Three\nK:D"
    assert abc.tunes(book) == ["X:1\nT:One\nK:C\nAB|", "X: 2\nT:Two", "X:3\nT:Three\nK:D"]


def test_a_tune_is_written_four_bars_to_a_line():
    tokens = [
        *FIRST,
        *[
            "|:",
            "A",
            "B",
            ">",
            "c",
            "|",
            "[1",
            "d2",
            ":|",
            "[2",
            "K:D",
            "e2",
            "||",
            "(3",
            "f",
            "g",
            "a",
            "|",
            "[Ac]2",
            "z",
            "|]",
        ],
    ]
    assert abc.text(tokens) == "M:6/8\nL:1/8\nK:G\n|: AB>c | [1 d2 :| [2 [K:D]e2 ||\n(3fga | [Ac]2z |]\n"


def test_text_and_tokens_are_there_and_back():
    tunes = abc.tunes(fiddle.book(30))
    assert len(tunes) == 30
    for tune in tunes:
        tokens = abc.tokens(tune)
        assert len(tokens) > 50
        assert abc.tokens(abc.text(tokens)) == tokens
        assert abc.text(abc.tokens(abc.text(tokens))) == abc.text(tokens)


def test_text_without_a_header_is_refused():
    with pytest.raises(ValueError, match=r"^a tune needs to begin with M: L: K:, got 'M:C K:G L:1/8'$"):
        abc.text(["M:C", "K:G", "L:1/8", "A"])
