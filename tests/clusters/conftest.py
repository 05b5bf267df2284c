import pytest

from tests.clusters import sweeps


@pytest.fixture
def start():
    with sweeps.starter() as start:
        yield start


@pytest.fixture(scope="session")
def here(tmp_path_factory):
    """What the sweeps of the tests come to on this machine, in one process: folder of records by list of overrides."""
    found = {}

    def numbers(overrides: list[str]) -> dict:
        key = tuple(overrides)
        if key not in found:
            out = tmp_path_factory.mktemp("here")
            with sweeps.starter() as start:
                code, output = sweeps.wait(start(out, "basic", *overrides))
            assert code == 0, output
            found[key] = sweeps.numbers(out / "single")
        return found[key]

    return numbers
