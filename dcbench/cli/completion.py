"""What a shell offers after an option or for an argument, by the parameter's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Names = Callable[[], Iterable[str]]


def _methods() -> Iterable[str]:
    from dcbench.methods import method_names

    return method_names()


def _splits() -> Iterable[str]:
    from dcbench.data.splits import split_names

    return split_names()


def _protocols() -> Iterable[str]:
    from dcbench.config.protocol import protocol_names

    return protocol_names()


def _datasets() -> Iterable[str]:
    from dcbench.data.catalogue import dataset_names

    return dataset_names()


_NAMES: dict[str, Names] = {
    **dict.fromkeys(["method", "methods", "against"], _methods),
    **dict.fromkeys(["split", "splits"], _splits),
    **dict.fromkeys(["protocol", "protocols"], _protocols),
    "datasets": _datasets,
}


def completer(parameter: str) -> Callable[[str], list[str]] | None:
    """What completes a parameter, also behind a comma of a list; None: nothing does."""
    names = _NAMES.get(parameter)
    if names is None:
        return None

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names() if name.startswith(last)]

    return complete
