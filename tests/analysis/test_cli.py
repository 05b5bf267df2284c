"""What the commands share: how they end, and how they write."""

import argparse

import pytest

from analysis import cli, run, style


def test_ctrl_c_ends_a_command_without_a_word(capsys):
    with pytest.raises(SystemExit) as leaving, cli.refusing(argparse.ArgumentParser()):
        raise KeyboardInterrupt
    assert leaving.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "new" / "table.csv"
    cli.write(path.with_suffix(""), {"csv": "old\n"})
    with pytest.raises(RuntimeError), cli.whole(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("table.csv", "old\n")]


def test_a_picture_that_cannot_be_written_is_refused_in_one_line(tmp_path, fabricate, capsys):
    folder = fabricate.run(tmp_path, "a")
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as leaving:
        run.main([str(folder), "--out", str(tmp_path / "file" / "picture")])
    error = capsys.readouterr().err
    assert leaving.value.code == 2
    assert error.count("\n") == 1
    assert "file/picture.pdf cannot be written: " in error
    with pytest.raises(ValueError, match="cannot be written"):
        style.save_png(run.run_figure(folder), tmp_path / "file" / "picture.png")


def test_a_folder_that_is_no_run_is_told_what_to_name(tmp_path):
    with pytest.raises(ValueError, match=r"holds no profiles\.npz: name the folder of one run, outputs/NAME/RUN_ID"):
        run.run_figure(tmp_path)
