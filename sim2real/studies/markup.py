"""The pieces of HTML a report is put together from."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from sim2real.errors import Sim2RealError
from sim2real.studies.plots import darkened, to_svg

Draw = Callable[..., Figure]


def paragraph(kind: str, text: str) -> str:
    """Return a paragraph of a class; nothing for no text."""
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""


def section(title: str, body: str) -> str:
    """Return a section under its heading; ``body`` is HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def terms(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the items of a list of terms and what they are."""
    return "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in pairs)


def table(caption: str, head: Iterable[str], rows: Iterable[str], *, cards: bool = False) -> str:
    """Return a table that scrolls inside its own box where the screen is narrow; the box can be reached by keyboard.

    With ``cards``, each row becomes a card on a phone instead.
    """
    kind = ' class="cards"' if cards else ""
    columns = "".join(f'<th scope="col"{_words(name)}>{escape(name)}</th>' for name in head)
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table{kind}>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _words(column: str) -> str:
    return ' class="words"' if column in ("Verdict", "Unit", "Reason") else ""


def value_cell(column: str, text: str, ends: str = "") -> str:
    """Return a cell that knows its column, which a phone shows beside it in place of the head of the table."""
    small = f"<small>{ends}</small>" if ends else ""
    return f'<td data-column="{column}">{text}{small}</td>'


def video(film: Path, poster: Path, label: str, caption: str) -> str:
    """Return a film that plays when it is asked to, with its poster where there is one.

    Raises:
        Sim2RealError: There is no film.
    """

    def encoded(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    if not film.is_file():
        raise Sim2RealError(f"{film} is missing.")
    image = f' poster="data:image/png;base64,{encoded(poster)}"' if poster.is_file() else ""
    return (
        f'<figure><video controls playsinline preload="metadata" aria-label="{escape(label)}"'
        f'{image} src="data:video/mp4;base64,{encoded(film)}"></video>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def figure(draw: Draw, alt: str, caption: str) -> str:
    """Return a figure in four versions, of which the browser shows the one for its width and colour scheme.

    Args:
        draw: Draws it, for a phone with ``narrow=True``.
        alt: What it shows, for who does not see it.
        caption: Below it.
    """

    def source(svg: str) -> str:
        return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"

    wide, narrow = (to_svg(draw(narrow=narrow)) for narrow in (False, True))
    phone, dark = "(max-width: 40rem)", "(prefers-color-scheme: dark)"
    return (
        "<figure><picture>"
        f'<source media="{phone} and {dark}" srcset="{source(darkened(narrow))}">'
        f'<source media="{phone}" srcset="{source(narrow)}">'
        f'<source media="{dark}" srcset="{source(darkened(wide))}">'
        f'<img src="{source(wide)}" alt="{escape(alt)}">'
        f"</picture><figcaption>{escape(caption)}</figcaption></figure>"
    )
