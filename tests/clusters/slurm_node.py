"""A SLURM of one node on loopback, in a folder of its own: munged, slurmctld and slurmd, all ended with the context."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "srun")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
AuthType=auth/munge
AuthInfo=socket={state}/munge
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
StateSaveLocation={state}/state
SlurmdSpoolDir={state}/spool
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=60
NodeName={host} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 PriorityTier=1 State=UP
PartitionName=urgent Nodes={host} MaxTime=60 PriorityTier=2 PreemptMode=OFF State=UP
"""


def missing() -> str | None:
    """Why no SLURM can be brought up here; None if one can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not found: as root, apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "slurmd starts jobs as root alone"


@contextlib.contextmanager
def slurm_node() -> Iterator[dict[str, str]]:
    """The environment in which `sbatch` and the others speak to it, once its node is idle."""
    state = Path(tempfile.mkdtemp(prefix="slurm-"))  # not pytest's: the path of a socket has at most 107 characters
    state.chmod(0o755)  # munged wants its socket to be reached by all
    for folder in ("state", "spool"):
        (state / folder).mkdir()
    (state / "munge.key").write_bytes(os.urandom(128))
    (state / "munge.key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    ports = dict(zip(("ctld_port", "d_port"), free_ports(2), strict=True))
    conf = state / "slurm.conf"
    conf.write_text(CONF.format(host=host, state=state, **ports))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    own = [f"--{name}={state}/munged.{name}" for name in ("pid-file", "log-file", "seed-file")]
    munged = ["munged", "--foreground", f"--socket={state}/munge", f"--key-file={state}/munge.key", *own]
    daemons: list[subprocess.Popen] = []

    def start(*command: str) -> None:
        log = (state / f"{command[0]}.log").open("wb")
        with log:
            daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    def ask(*command: str) -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()

    try:
        start(*munged)
        until(lambda: (state / "munge").exists(), 20, state)
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", host)
        until(lambda: ask("sinfo", "--noheader", "--partition=main", "--format=%t") == "idle", 60, state)
        yield environment
    finally:
        ask("scancel", "--user=root")
        with contextlib.suppress(TimeoutError):
            until(lambda: not ask("squeue", "--noheader"), 15, state)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()
        for pid in left_over(str(conf)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(state, ignore_errors=True)


def until(true: Callable[[], bool], seconds: float, state: Path) -> None:
    """Return once it is true; TimeoutError, with the end of each log, if that takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            logs = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in state.glob("*.log"))
            raise TimeoutError(f"SLURM was not ready after {seconds} s\n{logs}")
        time.sleep(0.2)


def left_over(conf: str) -> list[int]:
    """Processes of this SLURM that outlived it: those with its configuration in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"SLURM_CONF={conf}".encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return [pid for pid in found if pid != os.getpid()]


def free_ports(count: int, below: int = 65536) -> list[int]:
    """Ports of loopback that nobody listens on."""
    found = []
    while len(found) < count:
        port = random.SystemRandom().randrange(6000, below)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found
