"""A single-node Slurm on this machine for tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MUNGE_SOCKETS = Path("/run/munge")
REQUIRED_PROGRAMS = ("sbatch", "slurmctld", "slurmd", "munged")
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
SlurmctldPort={controller_port}
SlurmdPort={node_port}
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


def missing_requirements() -> list[str]:
    """Return the programs and rights that Slurm needs and this machine lacks."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    programs = [name for name in REQUIRED_PROGRAMS if shutil.which(name, path=path) is None]
    return programs + ([] if os.geteuid() == 0 else ["root"])


@contextlib.contextmanager
def one_node(folder: Path) -> Iterator[dict[str, str]]:
    """Run munge and Slurm with their state in a folder, and stop what was started at the end.

    Yields:
        The environment in which Slurm's commands find this instance.
    """
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "SLURM_CONF": str(folder / "slurm.conf")}
    started: list[subprocess.Popen] = []
    is_new_socket_folder = not MUNGE_SOCKETS.exists()
    try:
        if not munge_responds():
            MUNGE_SOCKETS.mkdir(exist_ok=True)
            shutil.chown(MUNGE_SOCKETS, "munge", "munge")
            started.append(subprocess.Popen(["munged", "--force", "--foreground"], env=environment,
                                            stderr=subprocess.DEVNULL, user="munge", group="munge", extra_groups=[]))
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        controller_port, node_port = free_ports()
        (folder / "slurm.conf").write_text(CONF.format(host=socket.gethostname(), folder=folder,
                                                       controller_port=controller_port, node_port=node_port))
        _wait_until(munge_responds, "munge")
        for daemon in (["slurmctld", "-D", "-f"], ["slurmd", "-D", "-f"]):
            started.append(subprocess.Popen([*daemon, str(folder / "slurm.conf")], env=environment,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        _wait_until(lambda: "idle" in output_of(environment, "sinfo", "-h", "-o", "%T"), "Slurm")
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
        if is_new_socket_folder:
            shutil.rmtree(MUNGE_SOCKETS, ignore_errors=True)


def munge_responds() -> bool:
    """Return True if munge can encode and decode a credential."""
    return subprocess.run("munge -n | unmunge", shell=True, capture_output=True, check=False).returncode == 0


def output_of(environment: dict[str, str], *command: str) -> str:
    """Run a command and return its stdout."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def free_ports() -> tuple[int, int]:
    """Return two unused TCP ports."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait_until(condition: Callable[[], bool], name: str, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"{name} did not start within {timeout_s} s"
        time.sleep(0.5)
