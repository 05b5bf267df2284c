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
}


def markdown(table: pd.DataFrame, note: str) -> str:
    """A pipe table under its note. A `|` in a cell is escaped."""
    rows = [[str(cell).replace("|", r"\|") for cell in row] for row in [list(table), *table.to_numpy().tolist()]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([note, "", lines[0], rule, *lines[1:], ""])


def latex(table: pd.DataFrame, note: str) -> str:
    """A longtable with the note as its caption; needs the packages booktabs and longtable."""
    lines = [" & ".join(map(_escape, row)) + r" \\" for row in [list(table), *table.to_numpy().tolist()]]
    return "\n".join(
        [
            r"% \usepackage{booktabs,longtable}; wide: put it into landscape (package pdflscape)",
            r"{\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{longtable}}{{{'l' * table.shape[1]}}}",
            rf"\caption{{{_escape(note)}}}\\",
            r"\toprule",
            lines[0],
            r"\midrule\endhead",
            *lines[1:],
            r"\bottomrule",
            r"\end{longtable}}",
            "",
        ]
    )


def _escape(cell: object) -> str:
    text = "".join(LATEX.get(character, character) for character in str(cell))
    text = text.replace(">= ", r"$\geq$ ").replace("`", "")
    return re.sub(r"(-?)\binf\b", r"$\1\\infty$", text)
