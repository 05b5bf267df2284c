"""Files that are never seen half written."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any


def replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file anew: whoever reads it, or comes after a kill, sees the old one or the new one, whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """The same for a file of strict JSON."""
    text = json.dumps(strict(value), indent=1, allow_nan=False) + "\n"
    replace(path, lambda file: file.write(text.encode()))


def strict(value: Any) -> Any:
    """The value in strict JSON: a non-finite number becomes the string "nan", "inf" or "-inf"."""
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy, a tensor of one element
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
