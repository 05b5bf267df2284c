"""What every task refuses, and how it says so."""

from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from tests.rnnlab.tasks.every import make, seeded, settings


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("length", ["abc", "50", 50.5, 50.0, True, None, 0, -3])
def test_a_length_that_is_not_a_natural_number_is_refused(name, length):
    if "length" in settings(name):  # of a one-to-one task it is no setting
        with pytest.raises(ValueError, match=rf"^{name} needs .*length.*, got {length!r}$"):
            make(name, length=length)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("value", [0, -0.1, float("nan"), float("inf"), "0.1", True, None])
def test_a_threshold_that_is_not_positive_is_refused(name, value):
    for setting in settings(name):
        if setting.startswith("solved_") or setting == "tolerance":
            with pytest.raises(ValueError, match=rf"^{name} needs {setting} to be a number > 0, got "):
                make(name, **{setting: value})


@pytest.mark.usefixtures("as_a_user")
def test_an_unknown_choice_is_refused_and_the_choices_are_named(name):
    hints = get_type_hints(type(make(name)))
    for setting in settings(name).keys() - {"_target_"}:
        if get_origin(hints[setting]) is Literal:
            choices = ", ".join(get_args(hints[setting]))
            with pytest.raises(ValueError, match=rf"^{name} needs {setting} to be one of {choices}, got 'median'$"):
                make(name, **{setting: "median"})


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("ask", ["draw", "held_out"])
def test_a_request_without_samples_or_of_no_split_is_refused(task, name, ask):
    with pytest.raises(ValueError, match=rf"^{name} needs size >= 1 to draw a sample, got 0$"):
        getattr(task, ask)("train", 0, seeded())
    with pytest.raises(ValueError, match=rf"^{name} needs split to be one of train, validation, test, got 'dev'$"):
        getattr(task, ask)("dev", 1, seeded())
