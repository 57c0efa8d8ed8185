# SPDX-License-Identifier: MIT
"""Plots as SVG, both axes logarithmic: figures here differ by powers of ten."""

import html
import math

_colours = ("#0b6e4f", "#c1440e", "#1f5fa8", "#8a5a00", "#7a2d8c", "#444444")
_width, _height = 900, 420
_left, _right, _top, _bottom = 70, 240, 40, 50


def _powers(low, high):
    return [10 ** power for power in range(math.floor(math.log10(low)),
                                           math.ceil(math.log10(high)) + 1)]


def _text(x, y, words, anchor="start", extra=""):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="12" {extra}>'
            f"{html.escape(words)}</text>")


def _short(number):
    for size, letter in ((10 ** 9, "G"), (10 ** 6, "M"), (10 ** 3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def bars(title, groups):
    """`groups`: (name, [(who, figure)]); one bar each, the longest is the largest figure."""
    largest = max((figure for _, bars_ in groups for _, figure in bars_), default=1)
    scale = (_width - 330) / math.log10(max(10, largest))
    parts, y = [], 40
    for name, figures in groups:
        parts.append(_text(300, y + 12, name, "end"))
        for number, (who, figure) in enumerate(figures):
            length = max(1.0, math.log10(max(1, figure)) * scale)
            parts.append(f'<rect x="310" y="{y}" width="{length:.0f}" height="13" '
                         f'fill="{_colours[number]}"/>')
            words = f"{figure:,}  {who}"
            parts.append(_text(314 + min(length, _width - 560), y + 11, words, "start",
                               'style="paint-order:stroke" stroke="white" stroke-width="3"'))
            y += 15
        y += 8
    return (f'<svg width="{_width + 150}" height="{y + 10}" role="img">'
            f"{_text(10, 20, title, 'start', 'font-weight=' + chr(34) + 'bold' + chr(34))}"
            + "".join(parts) + "</svg>")


def lines(title, x_name, ways, crossovers=()):
    """`ways`: name -> [(x, y)]. A line stands where two ways of Annulus cross, of `crossovers`:
    {"x", "below", "above"}."""
    points = [point for one in ways.values() for point in one]
    if not points:
        return ""
    low_x, high_x = min(x for x, _ in points), max(2, *(x for x, _ in points))
    low_y, high_y = min(max(1, y) for _, y in points), max(y for _, y in points)
    ys = _powers(low_y, max(high_y, low_y * 10))
    span_x = math.log10(high_x) - math.log10(low_x) or 1
    span_y = math.log10(ys[-1]) - math.log10(ys[0]) or 1

    def place(x, y):
        return (_left + (math.log10(x) - math.log10(low_x)) / span_x * (_width - _left - _right),
                _height - _bottom - (math.log10(max(1, y)) - math.log10(ys[0])) / span_y *
                (_height - _top - _bottom))

    parts = [_text(10, 20, title, "start", 'font-weight="bold"'),
             _text((_left + _width - _right) / 2, _height - 10, x_name, "middle")]
    for y in ys:
        _, at = place(low_x, y)
        parts.append(f'<path d="M{_left} {at:.0f}H{_width - _right}" stroke="#ddd"/>')
        parts.append(_text(_left - 8, at + 4, _short(y), "end"))
    for x in sorted({x for x, _ in points}):
        at, _ = place(x, ys[0])
        parts.append(_text(at, _height - _bottom + 18, _short(x), "middle", 'opacity="0.8"'))
    for one in crossovers:
        if one["below"].startswith("Annulus") and one["above"].startswith("Annulus"):
            at, _ = place(max(low_x, one["x"]), ys[0])
            parts.append(f'<path d="M{at:.0f} {_top}V{_height - _bottom}" stroke="#888" '
                         f'stroke-dasharray="4 4"><title>{html.escape(one["above"])} from '
                         f'{one["x"]:,} on</title></path>')
    for number, (name, one) in enumerate(ways.items()):
        colour = _colours[number % len(_colours)]
        path = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in (place(*p) for p in sorted(one)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(_width - _right + 14, _top + 18 * number + 10, name, "start",
                           f'fill="{colour}"'))
    return f'<svg width="{_width}" height="{_height}" role="img">{"".join(parts)}</svg>'
