"""Pages of figures: what was run above, what came out below; one copy of plotly.js serves a folder."""

import html
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clrepro.io.atomic import write_atomically

LIBRARY = "plotly.min.js"  # the name that plotly's own pages ask for
_STYLE = (
    "body{margin:0;font:15px/1.45 system-ui,sans-serif;color:#222}"
    "footer{padding:0 1.2em 1.2em;max-width:60em;color:#444}"
)
_NUMBERS = {
    "A": "mean over all evaluations of the accuracy on the tasks seen",
    "A_T": "accuracy on all tasks at the end",
    "F1": "loss on the first task, mean over the evaluations after it",
    "F": "forgetting",
    "T1": "accuracy on the first task, mean over all evaluations",
}


def facts(run: Any) -> Mapping[str, Any]:
    """Returns the settings of a `Result` or the parameters that the files of a `reader.Run` tell, by name."""
    return asdict(run.settings) if hasattr(run, "settings") else run.params


def subtitle(run: Any) -> str:
    """Returns what was run, e.g. "mnist · class split · ta-agem, remove oldest · seed 3"; "" if nothing is
    known.
    """
    known = facts(run)
    method = str(known.get("method", ""))
    if method in ("ta-agem", "paper") and known.get("removal_function"):
        method += f", {known['removal_function']}"
    words = [str(known.get("dataset_name", "")), str(known.get("task_type", "")), method]
    if known.get("seed") is not None:
        words.append(f"seed {known['seed']}")
    return " · ".join(word.replace("_", " ") for word in words if word)


def described(figure: Any, run: Any) -> Any:
    """Returns `figure` with what was run below its title."""
    # Plotly takes some HTML in titles, and the words may come from anybody's file.
    return figure.update_layout(title_subtitle_text=html.escape(subtitle(run), quote=False))


def final_numbers(run: Any) -> str:
    """Returns the metrics of a run, e.g. "A 78.02 %, A_T 74.08 %", without those that were not measured."""
    found = run.metrics()
    return ", ".join(f"{name} {100 * found[name]:.2f} %" for name in _NUMBERS if found[name] == found[name])


def write_page(figure: Any, path: Path, run: Any = None) -> None:
    """Write `figure` as the page `path`, and the plotting library beside it unless it is there.

    The page asks for nothing but that file, so the folder can be sent and opened without a network.
    Args: run — a `Result` or `reader.Run`: its settings and final numbers become the footer.
    Raises: DataError if the folder does not take them.
    """
    from plotly.offline import get_plotlyjs

    library, text = path.parent / LIBRARY, get_plotlyjs().encode()
    if not library.is_file() or library.stat().st_size != len(text):
        write_atomically(library, text)
    title = " · ".join(filter(None, [figure.layout.title.text, figure.layout.title.subtitle.text]))
    body = figure.to_html(include_plotlyjs="directory", full_html=False)
    write_atomically(path, _page(title, body, "" if run is None else _footer(run)).encode())


def _page(title: str, body: str, footer: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n{footer}</body></html>\n"
    )


def _footer(run: Any) -> str:
    legend = "; ".join(f"{name}: {meaning}" for name, meaning in _NUMBERS.items())
    what = html.escape(subtitle(run))
    return f"<footer><p><strong>{final_numbers(run)}</strong> ({what})<br>{legend}.</p></footer>\n"
