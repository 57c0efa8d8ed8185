# SPDX-License-Identifier: MIT
"""What curves say: what each more costs on each way, and where a way becomes the cheaper one.

A way is [(x, cost)]. Costs between two points are taken to lie on a straight line.
"""


def each(points):
    """What one more x costs where x is large: the slope over the last two steps. None: a point."""
    ordered = sorted(points)
    if len(ordered) < 2:
        return None
    first, last = ordered[max(0, len(ordered) - 3)], ordered[-1]
    return (last[1] - first[1]) / (last[0] - first[0])


def _shared(one, other):
    """[(x, by how much `one` is the dearer)], where both have a point and differ."""
    costs = dict(other)
    return [(x, cost - costs[x]) for x, cost in sorted(one) if x in costs and cost != costs[x]]


def crossings(one, other):
    """[(x, whether `one` is the cheaper from there on)]."""
    found, shared = [], _shared(one, other)
    for (x, before), (next_x, after) in zip(shared, shared[1:]):
        if (before < 0) != (after < 0):
            found.append((round(x + (next_x - x) * before / (before - after)), after < 0))
    return found


def _is_own(way):
    return way.startswith("Annulus: ")


def of_curve(ways):
    """{"costs": [{"way", "least_x", "cost", "each"}], "crossovers": [{"x", "below", "above"}]}.

    Crossovers are of two ways of which one at least is Annulus's: `below` is the cheaper one up to
    x, `above` from there on."""
    costs = [{"way": way, "least_x": min(points)[0], "cost": min(points)[1],
              "each": None if each(points) is None else round(each(points), 4)}
             for way, points in ways.items() if points]
    crossovers = []
    names = list(ways)
    for number, way in enumerate(names):
        for other in names[number + 1:]:
            if not _is_own(way) and not _is_own(other):
                continue
            for x, cheaper in crossings(ways[way], ways[other]):
                below, above = (other, way) if cheaper else (way, other)
                crossovers.append({"x": x, "below": below, "above": above})
    return {"costs": costs, "crossovers": crossovers}


def text(curve):
    """Lines of the report, for a curve that of_curve() has been added to."""
    lines = [f"| way | at {curve['costs'][0]['least_x'] if curve['costs'] else 0} | each more of "
             f"{curve['x']} |", "|---|---|---|"]
    for one in curve["costs"]:
        slope = "-" if one["each"] is None else f"{one['each']:,.3f}"
        lines.append(f"| {one['way']} | {one['cost']:,} | {slope} |")
    lines.append("")
    for one in curve["crossovers"]:
        lines.append(f"- From {one['x']:,} on, {one['above']} is cheaper than {one['below']}.")
    if not curve["crossovers"]:
        lines.append("- No way of Annulus crosses another way.")
    return [*lines, ""]
