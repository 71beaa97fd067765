"""The passes of a network compiled by `torch.compile`, for full batches on a CPU.

PyTorch keeps what it has compiled with the code of a class's `forward`, so that one compilation
serves all networks of a class in a process; on disk, in the user's cache folder, it serves the
next process. Predictions and the short last batch of an epoch are not compiled: each would take a
compilation of its own.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import sys
from collections.abc import Iterator

import torch
from torch import nn

from dcbench.config.paths import cache_root
from dcbench.errors import RunError, UsageError

_log = logging.getLogger(__name__)


def prepare_compilation(device: torch.device) -> None:
    """Set the process up to compile.

    Raises
    ------
    UsageError
        The device is a GPU, or there is no C++ compiler.
    """
    if device.type != "cpu":
        raise UsageError(
            "--compile is for a CPU: on a GPU steps are captured as CUDA graphs; leave it out"
        )
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UsageError(
            f"--compile needs a C++ compiler, and there is no {compiler}; install one, name it in "
            "CXX, or leave --compile out"
        )
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_root() / "compiled"))
    # A pool of compiling processes, one a core, is of no use to one network.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")


class CompiledPasses:
    """A network that a method may call compiled.

    Parameters
    ----------
    network : nn.Module
    size : int
        Of the batches, for what is said of it.
    method : str
        Whose name an error has.
    """

    def __init__(self, network: nn.Module, size: int, method: str) -> None:
        import torch._dynamo.config

        # Else a hook that a method exchanges from step to step would stay the one of the first.
        torch._dynamo.config.skip_nnmodule_hook_guards = False
        self._network, self._size, self._method = network, size, method
        self._forward = torch.compile(network.forward, dynamic=False)

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """Within, a call of the network is a compiled one, and so is the backward pass from it.

        Raises
        ------
        RunError
            The compiler fails, or finds what it cannot do.
        """
        _announce(type(self._network).__name__, self._size)
        self._network.forward = self._forward
        try:
            yield
        except Exception as problem:
            if not _is_of_the_compiler(problem):
                raise
            said = next(iter(str(problem).strip().splitlines()), "")
            raise RunError(
                f"method {self._method}, compiled: {type(problem).__name__}: {said}; leave "
                "--compile out, or let the method say `compilable = False`"
            ) from problem
        finally:
            del self._network.forward


def _is_of_the_compiler(problem: Exception) -> bool:
    compilers = ("torch._dynamo", "torch._inductor")
    return type(problem).__module__.startswith(compilers) or "torch.compile" in str(problem)


@functools.cache
def _announce(network: str, size: int) -> None:
    _log.info(
        "compiling %s for batches of %d: a minute or so, or some seconds if it is in the cache",
        *(network, size),
    )
