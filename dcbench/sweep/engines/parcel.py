"""What is sent to a worker and what comes back: plain values, which any pickle can carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch

from dcbench._version import __version__
from dcbench.data.parts import Source
from dcbench.errors import RunError, UsageError
from dcbench.records.store import Store
from dcbench.runs.plan import Plan
from dcbench.sweep.engines.jobs import Job, Outcome, Work


@dataclass(frozen=True)
class CodeFile:
    """The file of a method or a network as it was when its job was sent."""

    name: str
    source: bytes


@dataclass(frozen=True)
class Parcel:
    """A job with all that a worker needs to do it.

    Attributes
    ----------
    work : Work
        What is done with the job.
    store : Store
        The results folder, which the worker sees unless it sends its files back.
    sends_back : bool
        Whether it does; it then keeps them in a folder of its own until the job ends.
    source : Source
        The data; where a bundle is sent, its path is the worker's to choose.
    bundle_sha256 : str or None
        Of the bundle that is sent; None where the worker sees the data itself.
    seconds_left : float or None
        From when the job begins; the clock of the sender says nothing elsewhere.
    claim : bool
        Whether the worker chooses a GPU for itself; else whoever started it has done so.
    code : mapping
        The files of methods and networks, by the path that a request names.
    versions : mapping
        Of the packages that decide the numbers, by their names.
    checkpoints : sequence of bytes or None
        Where results are sent back: what each run goes on from; empty otherwise.
    """

    job: Job
    work: Work
    store: Store
    source: Source
    device: str
    threads: int | None
    compiled: bool = False
    sends_back: bool = False
    seconds_left: float | None = None
    claim: bool = False
    bundle_sha256: str | None = None
    code: Mapping[str, CodeFile] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Sequence[bytes | None] = ()


class Delivery(NamedTuple):
    """What a worker sends back.

    Attributes
    ----------
    files : sequence of mapping
        Where results are sent back: the files of each run, by name; empty otherwise.
    interrupted : bool
        Whether the worker was told to leave, by a signal.
    signal : int or None
        By which, where that is known.
    lost : str
        Why the worker died, and the job with it; empty where it did not.
    """

    outcomes: Sequence[Outcome] = ()
    files: Sequence[Mapping[str, bytes]] = ()
    interrupted: bool = False
    signal: int | None = None
    lost: str = ""

    @property
    def usable(self) -> bool:
        """Whether its worker can take another job."""
        return not self.interrupted and not self.lost


def code_files(job: Job) -> dict[str, CodeFile]:
    """The files that a job needs, as they are now."""
    paths = {path for request in job for path in request.files}
    try:
        return {path: CodeFile(Path(path).name, Path(path).read_bytes()) for path in paths}
    except OSError as problem:
        raise UsageError(f"file {problem.filename}: {problem.strerror}") from None


def versions_of(plans: Iterable[Plan]) -> dict[str, str]:
    """Versions of dcbench, torch and the packages that plans take methods and networks from.

    Without how torch was built.
    """
    chosen = [each.choice for each in plans]
    packages = {each.method.distribution for each in chosen} - {None}
    packages |= {each.network.package for each in chosen} - {None}
    return {
        "dcbench": __version__,
        "torch": _public(torch.__version__),
        **{name: number for name, _, number in (str(each).partition(" ") for each in packages)},
    }


def check_versions(asked: Mapping[str, str]) -> None:
    """Compare what is installed here with what the sender has.

    Raises
    ------
    RunError
        A package has another version here.
    """
    here = versions_of([])
    for name, wanted in asked.items():
        found = here.get(name) or _installed(name)
        if found != wanted:
            raise RunError(
                f"the sweep has {name} {wanted}, its worker has {found}; install the same there"
            )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _public(number: str) -> str:
    """A version without its local part: 2.6.0 of 2.6.0+cu124."""
    return number.partition("+")[0]
