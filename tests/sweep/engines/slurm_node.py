"""A Slurm of one node, this machine, configured in a folder of its own and run by this user."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue")

CONFIGURATION = """
ClusterName=dcbench-tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""`cred_expire`: seconds until a job that is requeued may begin; it is 120 otherwise."""


def missing() -> str:
    """Which program of Slurm is not installed; empty if all are."""
    return next((name for name in PROGRAMS if shutil.which(name) is None), "")


@contextlib.contextmanager
def slurm_node(folder: Path) -> Iterator[Path]:
    """Start both daemons, and end them; yield the configuration, for `SLURM_CONF`."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    path = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(
        folder=folder, host=host, user=getpass.getuser(), ports=_free_ports()
    )
    path.write_text(text)
    environment = {**os.environ, "SLURM_CONF": str(path)}
    daemons = [
        subprocess.Popen(
            [name, "-D", "-f", str(path)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in ("slurmctld", "slurmd")
    ]
    try:
        if not _answers(["sinfo", "--noheader", "--format=%T"], "idle", environment):
            logs = "".join(each.read_text() for each in folder.glob("*.log"))
            raise RuntimeError(f"Slurm does not start: {logs[-2000:]}")
        yield path
    finally:
        user = f"--user={getpass.getuser()}"
        subprocess.run(["scancel", "--full", user], env=environment)
        _answers(["squeue", "--noheader", user], "", environment)  # steps report to the daemons
        for daemon in reversed(daemons):  # and these to the controller
            _end(daemon)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:  # it waits for something that it has still to report
        daemon.kill()
        daemon.wait()


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(command: list[str], expected: str, environment: dict[str, str]) -> bool:
    """Whether a command says what it is to say, within some twenty seconds."""
    for _ in range(100):
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.strip() == expected:
            return True
        time.sleep(0.2)
    return False
