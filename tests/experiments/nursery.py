"""A process that runs one configuration again and again, each time in a child of its own that can be killed.

Reads lines `FOLDER DEATH` and answers each with the pid of the child, and with its exit status when it has ended. DEATH
is the number of the disk operation at which the child kills itself, 0 for never. A child takes a tenth of a second, a
process that has to import torch takes three.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from experiments.build import build
from experiments.run import run
from rnnlab import kernels

CONF = Path(__file__).parents[2] / "conf"


def dies_at(operation: int) -> None:
    """Count all that changes a folder, and end as by SIGKILL in front of the given one."""
    left = operation

    def mortal(function: Callable) -> Callable:
        def counted(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted

    for name in ("fsync", "replace", "unlink", "link"):
        setattr(os, name, mortal(getattr(os, name)))


def child(config: DictConfig, folder: str, death: int) -> None:
    """Run the configuration, and never come back."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits deafness
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        config.paths.outputs = folder
        dies_at(death)
        run(config)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("train", sys.argv[1:])
    kernels.available()
    build(composed)  # as the former for what it imports, once for all children
    for line in sys.stdin:
        folder, death = line.split()
        if (pid := os.fork()) == 0:
            child(composed, folder, int(death))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
