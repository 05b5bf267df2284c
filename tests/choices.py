"""What a user can choose: the files of conf/, and those of a package of their own, which tests/outside stands for."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
OUTSIDE = ROOT / "tests" / "outside"
OUTSIDE_CONF = OUTSIDE / "mylab" / "conf"

if str(OUTSIDE) not in sys.path:
    sys.path.append(str(OUTSIDE))  # as if it were installed


def files(group: str) -> dict[str, Path]:
    """The choices of a group, ours first: name -> file."""
    return {path.stem: path for conf in (CONF, OUTSIDE_CONF) for path in sorted((conf / group).glob("*.yaml"))}
