"""The invented books of the sample: five known ones and those that no class knows.

Two of them look alike on purpose, one is nearly white, one is busy: what makes the photos of the
study hard. No title, name or mark of a real book is used.
"""

from __future__ import annotations

from bookcls.synthetic.arrays import Colour
from bookcls.synthetic.covers import BLACK, WHITE, Block, Box, Design

RED: Colour = (196, 30, 48)
GREEN: Colour = (26, 142, 82)
OLIVE: Colour = (164, 152, 40)
YELLOW: Colour = (240, 196, 60)
ORANGE: Colour = (226, 92, 40)
GREY: Colour = (92, 94, 98)


def _words(
    box: Box, colour: Colour, seed: int, *, rows: int = 1, length: int = 9, bold: bool = False
) -> Block:
    return Block("print", box, (colour,), "mixed", seed, "", rows, length, bold)


def _latin(box: Box, colour: Colour, text: str, *, bold: bool = False) -> Block:
    rows = text.count("|") + 1
    return Block("print", box, (colour,), "latin", 0, text, rows, 8, bold)


def _panel(box: Box, colour: Colour) -> Block:
    return Block("panel", box, (colour,))


def _twin(colour: Colour, dark: Colour, seed: int, slogan: Colour) -> Design:
    """The layout that two of the books share: a coloured panel and a white band below it."""
    blocks = (
        _panel((0.06, 0.05, 0.99, 0.97), colour),
        Block("picture", (0.22, 0.18, 0.98, 0.62), (colour, dark), "plant", seed),
        _words((0.1, 0.08, 0.94, 0.25), WHITE, seed, rows=2, length=9, bold=True),
        _words((0.12, 0.28, 0.36, 0.33), WHITE, seed + 1, length=4, bold=True),
        _words((0.12, 0.48, 0.4, 0.58), WHITE, seed + 2, rows=2, length=5),
    )
    band = (
        _panel((0.0, 0.62, 1.0, 1.0), WHITE),
        _words((0.06, 0.655, 0.94, 0.73), slogan, seed + 3, length=12, bold=True),
        _words((0.06, 0.76, 0.72, 0.86), slogan, seed + 4, rows=3, length=26),
        _latin((0.06, 0.9, 0.3, 0.96), slogan, "NLQ", bold=True),
        _words((0.7, 0.93, 0.95, 0.96), GREY, seed + 5, length=8),
    )
    return Design(WHITE, blocks, band, colour, 0.71, 0.085)


BOOKS: dict[str, Design] = {
    "cinda": _twin(RED, (130, 20, 34), 310, RED),
    "lunelo": Design(
        (236, 236, 240),
        (
            _latin((0.2, 0.1, 0.9, 0.2), GREY, "LUNELO"),
            _words((0.2, 0.215, 0.75, 0.245), GREY, 320, length=15),
            Block("picture", (0.1, 0.22, 0.95, 0.5), (WHITE, BLACK), "strokes", 321),
            _words((0.55, 0.43, 0.85, 0.5), GREY, 322, rows=2, length=8),
        ),
        (
            _panel((0.0, 0.68, 1.0, 1.0), (229, 230, 236)),
            _words((0.1, 0.76, 0.75, 0.88), (70, 72, 78), 323, rows=4, length=20),
            _words((0.1, 0.91, 0.3, 0.935), GREY, 324, length=6),
        ),
        ORANGE, 0.7, 0.12,
    ),
    "mossa": _twin(GREEN, (14, 96, 54), 330, GREEN),
    "pikari": Design(
        WHITE,
        (
            _panel((0.04, 0.03, 0.3, 0.055), RED),
            _latin((0.06, 0.07, 0.8, 0.26), GREEN, "Pikari|for Nolu", bold=True),
            Block("picture", (0.78, 0.03, 0.95, 0.16), (WHITE, GREEN), "plant", 340),
            _words((0.55, 0.275, 0.95, 0.295), RED, 341, length=16),
            Block(
                "picture", (0.06, 0.31, 0.96, 0.78),
                (ORANGE, (70, 120, 50), (150, 60, 40), (236, 226, 190), (110, 116, 124)),
                "objects", 342,
            ),
            _panel((0.6, 0.31, 0.96, 0.42), (222, 160, 44)),
            _words((0.63, 0.325, 0.93, 0.4), WHITE, 343, rows=3, length=11),
        ),
        (
            _panel((0.0, 0.775, 1.0, 1.0), WHITE),
            _words((0.06, 0.8, 0.6, 0.92), GREEN, 344, rows=3, length=13, bold=True),
            _words((0.64, 0.8, 0.95, 0.93), RED, 345, rows=6, length=16),
            _latin((0.06, 0.94, 0.22, 0.975), RED, "Tovi:", bold=True),
        ),
        GREEN, 0.78, 0.11,
    ),
    "vardo": Design(
        WHITE,
        (
            _latin((0.05, 0.04, 0.6, 0.12), RED, "Vardo", bold=True),
            _words((0.5, 0.045, 0.95, 0.11), BLACK, 350, length=5, bold=True),
            _words((0.05, 0.125, 0.98, 0.215), BLACK, 351, length=10, bold=True),
            _words((0.05, 0.235, 0.55, 0.29), GREY, 352, rows=2, length=20),
            Block(
                "picture", (0.5, 0.22, 0.98, 0.93),
                (WHITE, (98, 102, 112), (168, 172, 180), (70, 72, 82), (170, 28, 58)),
                "figure", 353,
            ),
            _latin((0.05, 0.42, 0.6, 0.78), OLIVE, "DIRA|MELUN|Tosko", bold=True),
        ),
        (
            _panel((0.0, 0.81, 1.0, 1.0), RED),
            _words((0.05, 0.835, 0.7, 0.88), WHITE, 354, length=14, bold=True),
            _words((0.05, 0.895, 0.72, 0.97), WHITE, 355, rows=3, length=28),
            _latin((0.8, 0.88, 0.95, 0.96), WHITE, "MV", bold=True),
        ),
        RED, 0.77, 0.09,
    ),
}  # fmt: skip

UNKNOWN: dict[str, Design] = {
    "yellow": Design(
        YELLOW,
        (
            Block("picture", (0.3, 0.5, 1.0, 0.95), (YELLOW, (234, 170, 40), (226, 150, 40)),
                  "shapes", 362),
            _words((0.1, 0.09, 0.92, 0.24), BLACK, 361, rows=2, length=8, bold=True),
            _panel((0.0, 0.28, 1.0, 0.315), BLACK),
            _words((0.4, 0.34, 0.72, 0.46), BLACK, 363, rows=3, length=8),
            _panel((0.06, 0.03, 0.11, 0.06), ORANGE),
            _words((0.4, 0.94, 0.6, 0.96), BLACK, 364, length=4),
        ),
        (), YELLOW, 0.71, 0.12,
    ),
    "blue": Design(
        (40, 78, 132),
        (
            Block("picture", (0.0, 0.35, 1.0, 0.8), ((40, 78, 132), (120, 170, 210), WHITE),
                  "contours", 371),
            _latin((0.08, 0.08, 0.8, 0.24), WHITE, "Hespa|Ruvilo"),
            _words((0.08, 0.86, 0.6, 0.93), WHITE, 372, rows=2, length=12),
        ),
        (), (40, 78, 132), 0.68, 0.07,
    ),
}  # fmt: skip
