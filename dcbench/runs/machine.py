"""The machine that a run is on: its device, its versions, its memory."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import platform
import resource
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dcbench._version import __version__
from dcbench.config.git import git
from dcbench.config.paths import shipped_root
from dcbench.errors import UsageError

OWN_STATUS = Path("/proc/self/status")
CPU_INFO = Path("/proc/cpuinfo")

_log = logging.getLogger(__name__)

_GENERATION = (
    *("vendor_id", "cpu family", "model", "stepping"),
    *("CPU implementer", "CPU variant", "CPU part", "CPU revision"),
)
"""What Linux names the generation of a processor by: on x86, and on ARM."""


def find_device(name: str) -> torch.device:
    """The device of a name: `auto` is a CUDA device if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device '{name}': write auto, cpu, cuda or cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device '{name}': write auto, cpu, cuda or cuda:0")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(f"device '{name}': this machine has {found} CUDA devices; try cpu")
    return device


def count_devices(name: str) -> int:
    """How many devices of a name carry runs out at once: each GPU for `auto`, or each core."""
    if find_device(name).type == "cpu":
        return allowed_cores()
    return torch.cuda.device_count() if name == "auto" else 1


def allowed_cores() -> int:
    """The cores that this process may use: what taskset, a container and OMP_NUM_THREADS leave."""
    import joblib  # in here: a run on one thread does not ask

    cores = int(joblib.cpu_count())
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


@contextlib.contextmanager
def threads_set(device: torch.device, threads: int | Literal["cores"]) -> Iterator[None]:
    """Let PyTorch use so many threads within; where the device is no CPU, as many as before."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(allowed_cores() if threads == "cores" else threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_title(device: torch.device) -> str:
    """The name of the processor or GPU, and for a processor its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


@functools.cache
def warn_of_slow_arithmetic(precision: str, device: torch.device) -> None:
    """Say once, before a run begins, that the processor has to emulate its arithmetic."""
    if precision == "bf16" and device.type == "cpu" and not has_bf16(torch.cpu.get_capabilities()):
        _log.warning(
            "precision=bf16: this processor has no bf16 arithmetic and will take many times as "
            "long as in float32; leave the setting out, or use a GPU or a processor with "
            "AVX512_BF16, AMX or ARM's BF16"
        )


def has_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Whether a processor multiplies bf16 numbers, by what `torch.cpu` says of it."""
    return any(capabilities.get(each) for each in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak_memory(device: torch.device) -> None:
    """Let the peak on a GPU begin anew: what earlier runs needed is none of the next one's."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory in use: on a GPU since it was forgotten, on a CPU by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    resident = peak_resident_bytes()
    if resident is not None:
        return resident
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_resident_bytes(status: Path = OWN_STATUS) -> int | None:
    """The most memory that this process has had resident; None where /proc does not say.

    `VmHWM` begins anew with a program, unlike `ru_maxrss`, which a process inherits from the one
    that started it.
    """
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions and machine, for a record."""
    return {
        "dcbench": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": version("scikit-learn"),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "platform": platform.platform(),
        "processor": _processor(),
        "processor_generation": processor_generation(CPU_INFO),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    return _cpu_facts(CPU_INFO).get("model name") or platform.processor() or platform.machine()


def processor_generation(info: Path) -> str | None:
    """What tells processors of one name apart; None where /proc does not say.

    The last bits of a result depend on it: libraries choose their kernels by it.
    """
    facts = _cpu_facts(info)
    return ", ".join(f"{name} {facts[name]}" for name in _GENERATION if name in facts) or None


def _cpu_facts(info: Path) -> dict[str, str]:
    """What Linux says of the first processor; nothing elsewhere."""
    if not info.exists():
        return {}
    first = info.read_text().partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _commit() -> str | None:
    """The commit of the source tree, with `-dirty` where it has changes; None in a wheel."""
    root = shipped_root()
    if not (root / ".git").exists():
        return None
    said = git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return None if said is None else said.decode().strip()
