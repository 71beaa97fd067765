"""Tables for papers, written as LaTeX with booktabs or as Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterator

from dcbench.reports.paper import Line, PaperCell, PaperTable

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": "$-$",
}


def escape_latex(text: str) -> str:
    """Text as LaTeX shows it; what ASCII has no character for is left out."""
    # Without the package inputenc, pdflatex stops at what is not ASCII.
    kept = "".join(_LATEX.get(character, character) for character in text)
    return kept.encode("ascii", "ignore").decode()


def escape_markdown(text: str) -> str:
    """Text as a cell of a Markdown table shows it; a spreadsheet takes none for a formula."""
    harmless = html.escape(text.replace("\n", " "), quote=False)
    for character in "\\`*_[]|~":
        harmless = harmless.replace(character, f"\\{character}")
    return f"'{harmless}" if harmless.startswith(("=", "+", "-", "@")) else harmless


def to_latex(table: PaperTable) -> str:
    """A `table` environment; it needs the package `booktabs`."""
    count = len(table.titles)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{escape_latex(table.caption)}{_dagger_note(table)}}}",
        f"  \\begin{{tabular}}{{l{'r' * count * len(table.splits)}}}",
        "    \\toprule",
    ]
    if len(table.splits) > 1:
        heads = (
            f" & \\multicolumn{{{count}}}{{c}}{{{escape_latex(split)}}}" for split in table.splits
        )
        lines.append(f"    {''.join(heads)} \\\\")
        starts = (2 + count * number for number in range(len(table.splits)))
        lines.append("    " + " ".join(f"\\cmidrule(lr){{{at}-{at + count - 1}}}" for at in starts))
    titles = [escape_latex(title) for title in table.titles] * len(table.splits)
    lines += [f"    Method & {' & '.join(titles)} \\\\", "    \\midrule"]
    lines += [f"    {_latex_line(line)}" for line in table.measured]
    if table.reported:
        width = 1 + count * len(table.splits)
        title = "\\emph{Reported with their authors' recipes}"
        lines += ["    \\midrule", f"    \\multicolumn{{{width}}}{{l}}{{{title}}} \\\\"]
        for number, line in _numbered(table):
            lines.append(f"    {_latex_line(line, f'$^{{{number}}}$')}")
    lines += ["    \\bottomrule", "  \\end{tabular}"]
    for number, source in enumerate(_sources(table), start=1):
        lines.append(f"  \\par\\footnotesize $^{{{number}}}$ {escape_latex(source)}")
    return "\n".join([*lines, "\\end{table}", ""])


def _dagger_note(table: PaperTable) -> str:
    if not any(line.provisional for line in table.measured):
        return ""
    return " $\\dagger$: fewer runs than the protocol requires."


def _latex_line(line: Line, mark: str = "") -> str:
    dagger = "$^\\dagger$" if line.provisional else ""
    cells = " & ".join(_latex_cell(cell) for cell in line.cells)
    return f"{escape_latex(line.method)}{dagger}{mark} & {cells} \\\\"


def _latex_cell(cell: PaperCell) -> str:
    text = escape_latex(cell.text) or "--"
    mean = f"\\textbf{{{text}}}" if cell.best else text
    return f"{mean} $\\pm$ {cell.spread}" if cell.spread else mean


def to_markdown(table: PaperTable) -> str:
    """A table as GitHub's Markdown has it, with the caption above and the sources below."""
    several = len(table.splits) > 1
    titles = [
        f"{split}: {title}" if several else title
        for split in table.splits
        for title in table.titles
    ]
    lines = [escape_markdown(table.caption), "", f"| Method | {' | '.join(titles)} |"]
    lines.append(f"|---|{'---:|' * len(titles)}")
    lines += [_markdown_line(line, "†" if line.provisional else "") for line in table.measured]
    for number, line in _numbered(table):
        lines.append(_markdown_line(line, f" (reported, {number})"))
    if any(line.provisional for line in table.measured):
        lines += ["", "† fewer runs than the protocol requires"]
    sources = [
        f"{number}. {escape_markdown(each)}" for number, each in enumerate(_sources(table), 1)
    ]
    return "\n".join([*lines, *([""] if sources else []), *sources, ""])


def _markdown_line(line: Line, mark: str) -> str:
    cells = " | ".join(_markdown_cell(cell) for cell in line.cells)
    return f"| {escape_markdown(line.method)}{mark} | {cells} |"


def _markdown_cell(cell: PaperCell) -> str:
    mean = f"**{cell.text}**" if cell.best else cell.text or "–"
    return f"{mean} ± {cell.spread}" if cell.spread else mean


def _sources(table: PaperTable) -> list[str]:
    return list(dict.fromkeys(table.sources))


def _numbered(table: PaperTable) -> Iterator[tuple[int, Line]]:
    """Reported lines with the numbers of their sources."""
    sources = _sources(table)
    for line, source in zip(table.reported, table.sources, strict=True):
        yield sources.index(source) + 1, line
