"""What the commands of this package share."""

import sys
from pathlib import Path
from typing import NoReturn

from analysis.folders import folder_of

__all__ = ["folder_of", "refuse"]


def refuse(message: str) -> NoReturn:
    """Say in one line what is wrong and leave with 2; argparse would print the usage before it."""
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    raise SystemExit(2)
