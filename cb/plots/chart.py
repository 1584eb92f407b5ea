"""Charts of pages: figures in the form of Plotly's JavaScript."""

import html
import math
from typing import Any

from cb.plots import style
from cb.plots.figure import FEW_POINTS
from cb.plots.figure import Figure
from cb.plots.figure import Trace

SHAPES = {"line": "linear", "fit": "linear"}
# In the order of `style.DASHES`.
DASHES = ("solid", "dash", "dot")
GRID = "#e4e4e4"


def chart(figure: Figure) -> dict[str, Any]:
    """Convert a figure.

    Args:
        figure: `Figure`.

    Returns:
        Dict of JSON values with `"data"` and `"layout"`, and in `"keys"` the
        entries of the legend: a label, a look and the positions of traces.
    """
    keys: dict[str, dict[str, Any]] = {}
    many = len(figure.traces) > style.MOST_LOOKS
    for number, trace in enumerate(figure.traces):
        if trace.label:
            key = {**look(trace.look), "label": trace.label, "traces": []}
            keys.setdefault(trace.label, key)["traces"].append(number)
    return {
        "data": [_data(trace, many) for trace in figure.traces],
        "layout": _layout(figure),
        "keys": [*keys.values()],
    }


def look(number: int | None) -> dict[str, str]:
    """Return the color and the dash of a line, as `style.look` does."""
    color = style.look(number)["color"]
    if number is None:
        return {"color": color, "dash": "dot"}
    return {
        "color": color,
        "dash": DASHES[number // len(style.COLORS) % len(DASHES)],
    }


def _data(trace: Trace, many: bool) -> dict[str, Any]:
    line = look(trace.look)
    data: dict[str, Any] = {
        "x": [*map(_number, trace.x)],
        "y": [*map(_number, trace.y)],
        "name": html.escape(trace.label),
        "items": trace.items,
    }
    if trace.kind == "bars":
        return data | {
            "type": "bar",
            "orientation": "h",
            "width": trace.thickness,
            "marker": {"color": line["color"]},
            "hovertemplate": "%{x:.3f}<extra>" + data["name"] + "</extra>",
        }
    # Many lines behind the others, as in parallel coordinates.
    background = trace.faint and trace.look is None
    dash = "dot" if trace.kind == "fit" else line["dash"]
    points = trace.kind == "points"
    marked = points or trace.items and len(trace.x) <= FEW_POINTS
    drawn = ["lines"] * (not points) + ["markers"] * bool(marked)
    return data | {
        "mode": "+".join(drawn),
        "opacity": (0.2 if many else 0.4) if trace.faint else 1.0,
        "line": {
            "color": line["color"],
            "dash": "solid" if background else dash,
            "width": 1.0 if trace.faint or many else 2.0,
            "shape": SHAPES.get(trace.kind, trace.kind),
        },
        "marker": {
            "color": line["color"],
            "size": 5 if not points or trace.faint else 9,
            "line": {"color": "#fff", "width": int(points)},
        },
        **({} if trace.items else {"hoverinfo": "skip"}),
    }


def _layout(figure: Figure) -> dict[str, Any]:
    vertical: dict[str, Any] = {"title": {"text": figure.y}}
    if figure.rows:
        vertical = {
            "tickvals": [*range(len(figure.rows))],
            "ticktext": [*map(html.escape, figure.rows)],
            "range": [len(figure.rows) - 0.5, -0.5],
        }
    axes: dict[str, dict[str, Any]] = {
        "xaxis": {"title": {"text": figure.x}},
        "yaxis": vertical,
    }
    if figure.rows and not figure.x:
        axes["xaxis"] = {"showgrid": False, "showticklabels": False}
    for letter in "xy":
        axis = axes[f"{letter}axis"]
        axis |= {"automargin": True, "gridcolor": GRID, "zeroline": False}
        axis |= {"linecolor": "#888", "nticks": 7}
        values = [
            value
            for trace in figure.traces
            for value in getattr(trace, letter)
            if math.isfinite(value)
        ]
        # Others have no logarithm: they leave gaps.
        positive = [value for value in values if value > 0]
        axis["tickformat"] = "~s" if max(values, default=0) >= 1e4 else "~g"
        if letter in figure.log and positive:
            decades = math.log10(max(positive) / min(positive))
            # Labels at 1, 2 and 5, or at powers of ten.
            dtick = "D2" if decades < 3 else math.ceil(decades / 7)
            axis |= {"type": "log", "dtick": dtick}
            axis["minorloglabels"] = "complete"
    if figure.view:
        axes["yaxis"]["range"] = figure.view
    return {
        **axes,
        "annotations": [
            {
                "x": _number(x),
                "y": y,
                "text": html.escape(text),
                "showarrow": False,
                "yshift": 9,
                "bgcolor": "rgba(255,255,255,0.75)",
                "borderpad": 0,
                "font": {"size": 10, "color": style.GREY},
            }
            for x, y, text in figure.notes
        ],
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "margin": {"l": 48, "r": 12, "t": 8, "b": 40},
        "plot_bgcolor": "#fff",
        "paper_bgcolor": "#fff",
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "font": {"size": 12}},
        "barmode": "overlay",
        "dragmode": "select",
    }


def _number(value: float) -> float | None:
    """Return a number with as many digits as a chart can show."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
