"""`dcbench test-method`: a method held to its contract."""

from __future__ import annotations

from typing import Annotated

import typer

from dcbench.cli.report import Report, Table

EXAMPLE = "Example:  dcbench test-method my_method.py:MyMethod"


def test_method(
    method: Annotated[
        str, typer.Argument(metavar="NAME|FILE.py:Class", help="With settings in brackets or not.")
    ],
) -> Report:
    """Hold a method to what every method promises, by short trainings on random images.

    It needs no data and takes a minute or less. Ends with 1 if a promise is broken.
    """
    import torch

    from dcbench.config.names import parse_method
    from dcbench.methods import build_method
    from dcbench.runs.contract import check_method, relative_cost

    torch.set_num_threads(1)
    spec = parse_method(method)
    built = build_method(spec.name, spec.settings)
    findings = check_method(built)
    broken = sum(not each.kept for each in findings)
    notes = [f"{len(findings) - broken} of {len(findings)} promises kept"]
    cost = None if broken else relative_cost(built)
    if cost is not None:
        notes.append(f"trains {cost:.2f} times as many images a second as erm, here and now")
    rows = [(each.promise, "yes" if each.kept else "NO", each.detail) for each in findings]
    return Report(
        data={
            "method": built.name,
            "promises": [each._asdict() for each in findings],
            "speed_beside_erm": cost,
        },
        tables=[Table(f"method {built.name}", ("promise", "kept", "what broke it"), rows)],
        notes=notes,
        exit_code=1 if broken else 0,
    )
