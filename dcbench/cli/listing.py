"""`dcbench methods`, `models`, `protocols` and `engines`: what there is."""

from __future__ import annotations

from dcbench.cli.options import Pattern
from dcbench.cli.report import Report, list_report
from dcbench.config.text import span


def methods(pattern: Pattern = "*") -> Report:
    """List the methods, with their settings and defaults."""
    from dcbench.methods import method_class, method_names

    listed = {name: method_class(name) for name in method_names(pattern)}
    rows = [
        {
            "name": name,
            "summary": (method.__doc__ or "").strip().partition("\n")[0],
            "settings": dict.fromkeys(method.model_fields) | method.default_settings(),
        }
        for name, method in listed.items()
    ]
    return list_report(rows, f"method like '{pattern}'")


def engines(pattern: Pattern = "*") -> Report:
    """List the engines that carry out sweeps, with their options and defaults."""
    from fnmatch import filter as matching

    from dcbench.errors import UsageError
    from dcbench.sweep.engines.registry import engine_class, engine_names

    rows = []
    for name in matching(engine_names(), pattern):
        summary, options = "", {}
        try:
            engine = engine_class(name)
            summary = (engine.__doc__ or "").strip().partition("\n")[0]
            fields = engine.Options.model_fields.items()
            options = {key: field.get_default(call_default_factory=True) for key, field in fields}
        except UsageError as problem:
            summary = str(problem)
        rows.append({"name": name, "summary": summary, "options": options})
    return list_report(rows, f"engine like '{pattern}'")


def models(pattern: Pattern = "*") -> Report:
    """List the networks, with their number of parameters for ten classes."""
    from dcbench.errors import DcbenchError
    from dcbench.models import build_outline, model_names

    rows, notes = [], []
    for name in model_names(pattern):
        try:
            network = build_outline(name, 10)
        except DcbenchError as problem:  # of a package
            notes.append(f"left out: {problem}")
            continue
        parameters = sum(parameter.numel() for parameter in network.parameters())
        rows.append({"name": name, "parameters": parameters})
    return list_report(rows, f"model like '{pattern}'", notes)


def protocols(pattern: Pattern = "*") -> Report:
    """List the protocols, with the recipe of each kind of split."""
    from dcbench.config.protocol import load_protocol, protocol_names

    rows = []
    for name in protocol_names(pattern):
        protocol = load_protocol(name)
        for recipe, entry in protocol.recipes.items():
            rows.append(
                {
                    "protocol": name,
                    "recipe": recipe,
                    "subsets": span(entry.asked.subsets),
                    "seeds": span(entry.asked.seeds),
                    "model": entry.training.model,
                    "epochs": entry.training.epochs,
                    "batch": entry.training.batch_size,
                    "threads": entry.threads,
                }
            )
    return list_report(rows, f"protocol like '{pattern}'")
