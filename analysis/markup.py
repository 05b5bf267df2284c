"""A table of text as Markdown and as LaTeX."""

import re

import pandas as pd

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
NUMBER = re.compile(r"(?<![\w.-])(-?)(\d+(?:\.\d+)?|inf)(?:e([+-]\d+))?(?![\w.-])")


def markdown(table: pd.DataFrame, note: str, best: pd.DataFrame | None = None) -> str:
    """A pipe table under its note. A `|` in a cell is escaped.

    Args:
        best: the cells to be in bold.
    """
    head, *cells = [[_line(cell).replace("|", r"\|") for cell in row] for row in [table, *table.to_numpy().tolist()]]
    rows = [head, *_marked(cells, best, "**{}**")]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([note, "", lines[0], rule, *lines[1:], ""])


def latex(table: pd.DataFrame, note: str, best: pd.DataFrame | None = None) -> str:
    """A longtable with the note as its caption; needs the packages booktabs and longtable.

    Args:
        best: the cells to be in bold.
    """
    cells = [[_cell(cell) for cell in row] for row in table.to_numpy().tolist()]
    head = " & ".join(map(_escape, table)) + r" \\"
    return "\n".join(
        [
            r"% \usepackage{booktabs,longtable}; wide: put it into landscape (package pdflscape)",
            r"{\scriptsize\setlength{\tabcolsep}{2.5pt}\setlength{\LTcapwidth}{\linewidth}",
            rf"\begin{{longtable}}{{{'l' * table.shape[1]}}}",
            rf"\caption{{{_escape(note)}}}\\",
            r"\toprule",
            head,
            r"\midrule\endfirsthead",
            r"\toprule",
            head,
            r"\midrule\endhead",
            r"\bottomrule\endfoot",
            *(" & ".join(row) + r" \\" for row in _marked(cells, best, r"\textbf{{\boldmath {}}}")),
            r"\end{longtable}}",
            "",
        ]
    )


def _marked(cells: list[list[str]], best: pd.DataFrame | None, form: str) -> list[list[str]]:
    if best is None:
        return cells
    marks = best.to_numpy().tolist()
    return [
        [form.format(cell) if mark else cell for cell, mark in zip(row, line, strict=True)]
        for row, line in zip(cells, marks, strict=True)
    ]


def _line(cell: object) -> str:
    return " ".join(str(cell).split())


def _escape(cell: object) -> str:
    text = "".join(LATEX.get(character, character) for character in _line(cell))
    text = text.replace(r"$>$= ", r"$\geq$ ").replace("`", "")
    return NUMBER.sub(_typeset, text)


def _cell(cell: object) -> str:
    """The interval that ends a cell is smaller than its number: tables with many are wide."""
    return re.sub(r" (\[[^\]]*\])$", r"~{\\tiny\1}", _escape(cell))


def _typeset(number: re.Match) -> str:
    """-0.5 with a minus, 1e-05 as a power of ten, inf as its sign; any other number as it is."""
    sign, digits, power = number.groups()
    if not sign and not power and digits != "inf":
        return digits
    times = rf"\times10^{{{int(power)}}}" if power else ""
    return "$" + sign + digits.replace("inf", r"\infty") + times + "$"
