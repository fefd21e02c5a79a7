"""A plot from JSON on standard input, {load: {server: CPU us per request}}: python -m tests.bench.plot FILE.png

Bars are relative to the dearest server of their load, because the loads differ a thousandfold.
"""

from __future__ import annotations

import json
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

COLOURS = {
    "supervisor-d": "#1b7837",
    "supervisor-d plain": "#7fbf7b",
    "uvicorn": "#8da0cb",
    "granian": "#fc8d62",
    "gunicorn": "#e5c494",
}
OTHERS = {"hypercorn": "#b3b3b3", "fastpysgi": "#ffd92f"}


def main(target: str) -> None:
    told: dict[str, dict[str, float]] = json.load(sys.stdin)
    colours = COLOURS | OTHERS
    figure, axes = plt.subplots(figsize=(10, 0.62 * len(told) + 1.5))
    height = 0.8 / len(colours)
    for position, costs in enumerate(told.values()):
        dearest = max((cost for name, cost in costs.items() if name in colours), default=1.0)
        for number, (name, colour) in enumerate(colours.items()):
            if name in costs:
                at = position + number * height
                axes.barh(at, costs[name] / dearest, height, color=colour)
                axes.text(costs[name] / dearest + 0.005, at, f"{costs[name]:.1f}", va="center", fontsize=6)
    axes.set_yticks([position + 0.4 for position in range(len(told))], list(told), fontsize=8)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel("CPU per request, relative to the dearest (figures: microseconds); less is better")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    axes.legend(handles, list(colours), loc="upper center", bbox_to_anchor=(0.5, 1.04), ncol=len(colours), fontsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
