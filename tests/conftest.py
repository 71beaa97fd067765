"""What several test files share."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from dcbench.config.paths import data_root
from dcbench.data.source import Folder
from dcbench.sweep.grid import forget_code

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A file's content may tell its time, and all processes of pytest-xdist need the same names."""
    return argname if isinstance(val, bytes) and len(val) > 32 else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The data folder with the real CIFAR-10 and CIFAR-100, for tests marked `data`."""
    if not os.environ.get("DCBENCH_DATA"):
        pytest.skip("DCBENCH_DATA is not set")
    root = data_root()
    if any(status.state == "missing" for status in Folder(root).inventory(["cifar10", "cifar100"])):
        pytest.skip(f"CIFAR is not in {root}")
    return root


@pytest.fixture
def cuda() -> torch.device:
    """The GPU, for tests marked `gpu`."""
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return torch.device("cuda")


@pytest.fixture(autouse=True)
def log_untouched() -> Iterator[None]:
    """A command that was called in this process, by a fixture too, sets the log up for itself."""
    _reset_log()
    yield
    _reset_log()


def _reset_log() -> None:
    for name in ["dcbench", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "dcbench":
            log = logging.getLogger(name)
            log.propagate, log.handlers = True, []
            log.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def code_of_files_forgotten() -> Iterator[None]:
    """A method or network of a file that a test runs is none of the next one."""
    forget_code()
    yield
    forget_code()


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """A shell's background job ignores Ctrl-C, as pytest-xdist's workers do; tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Layers this small are slower on two threads, and far slower on busy cores."""
    torch.set_num_threads(1)
