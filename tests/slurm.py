"""A Slurm of one node on this machine, for tests: its daemons, configuration and end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SOCKETS = Path("/run/munge")
NEEDED = ("sbatch", "slurmctld", "slurmd", "munged")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={port}
SlurmdPort={other}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerParameters=sched_interval=2
KillWait=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> list[str]:
    """What a Slurm here would need and this machine does not have."""
    programs = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return programs + ([] if os.geteuid() == 0 else ["root"])


@contextlib.contextmanager
def one_node(folder: Path) -> Iterator[dict[str, str]]:
    """Starts munge and Slurm in a scratch folder; gives the environment that finds it, and ends what it started."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "SLURM_CONF": str(folder / "slurm.conf")}
    started: list[subprocess.Popen] = []
    made = not SOCKETS.exists()
    try:
        if not munge_answers():
            SOCKETS.mkdir(exist_ok=True)
            shutil.chown(SOCKETS, "munge", "munge")
            started.append(subprocess.Popen(["munged", "--force", "--foreground"], env=environment, stderr=subprocess.DEVNULL,
                                            user="munge", group="munge", extra_groups=[]))
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        port, other = free_ports()
        (folder / "slurm.conf").write_text(CONF.format(host=socket.gethostname(), folder=folder, port=port, other=other))
        _until(munge_answers, "munge")
        for daemon in (["slurmctld", "-D", "-f"], ["slurmd", "-D", "-f"]):
            started.append(subprocess.Popen([*daemon, str(folder / "slurm.conf")], env=environment,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        _until(lambda: "idle" in ask(environment, "sinfo", "-h", "-o", "%T"), "Slurm")
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
        if made:
            shutil.rmtree(SOCKETS, ignore_errors=True)


def munge_answers() -> bool:
    return subprocess.run("munge -n | unmunge", shell=True, capture_output=True, check=False).returncode == 0


def ask(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _until(holds, what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not start within {seconds} s"
        time.sleep(0.5)
