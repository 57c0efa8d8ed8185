# SPDX-License-Identifier: MIT
"""Flame graphs as SVG: each level's boxes are as wide as their share of the whole."""

import hashlib
import html

_width, _row, _letter = 1200, 18, 6.6
_least = 0.4  # pixels below which a box is not drawn


def tree(paths):
    """`paths`: tuple of names -> weight; nested {name: [weight, children]}."""
    root = {}
    for path, weight in paths.items():
        level = root
        for name in path:
            node = level.setdefault(name, [0, {}])
            node[0] += weight
            level = node[1]
    return root


def _colour(name, level):
    shade = hashlib.sha256(name.encode()).digest()[0]
    return f"hsl({30 + 18 * level},{60 + shade % 30}%,{62 + shade % 16}%)"


def _boxes(level_nodes, level, x, scale, unit, parts):
    for name, (weight, children) in sorted(level_nodes.items(), key=lambda item: -item[1][0]):
        width = weight * scale
        if width >= _least:
            y = 40 + level * _row
            words = html.escape(f"{name}: {weight:,.0f} {unit}")
            parts.append(f'<g><title>{words}</title><rect x="{x:.1f}" y="{y}" '
                         f'width="{width:.1f}" height="{_row - 1}" '
                         f'fill="{_colour(name, level)}"/>')
            room = int((width - 6) / _letter)
            if room >= 3:
                shown = name if len(name) <= room else name[:room - 1] + "…"
                parts.append(f'<text x="{x + 3:.1f}" y="{y + 13}" font-size="11" '
                             f'font-family="monospace">{html.escape(shown)}</text>')
            parts.append("</g>")
            _boxes(children, level + 1, x, scale, unit, parts)
        x += width


def svg(title, paths, unit):
    """A file of its own; whoever points at a box reads its weight."""
    nodes = {"all": [sum(paths.values()), tree(paths)]}
    depth = 1 + max((len(path) for path in paths), default=0)
    parts = []
    _boxes(nodes, 0, 0.0, _width / max(1e-9, nodes["all"][0]), unit, parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{_width}" '
            f'height="{50 + depth * _row}" role="img">'
            f'<text x="4" y="22" font-size="14" font-weight="bold" '
            f'font-family="sans-serif">{html.escape(title)}</text>' + "".join(parts) + "</svg>\n")
