"""The tables of the page about exports, from the rows that are kept."""

import pathlib

from benchmarks import tables

FILE = pathlib.Path(__file__).with_name("export.csv")
KEYS = ("network", "sparsity", "granularity", "threads", "batch", "form")
BATCHES = ("1", "16", "128")
# How many times as fast as LiteRT the engine is to be: at each batch size, or
# at all of them.
_WIDE = {"0.9": 3, "0.95": 5, "0.98": 8}
_MOBILE = {"0.9": 1.5, "0.95": 2, "0.98": 2.5}
_WIDE_INT8 = {"0.9": 2.5, "0.95": 4, "0.98": 6}
_CONVOLUTIONS = ("wrn_28_2", "wrn_16_4", "resnet18")
_MOBILES = ("mobilenet", "mobilenet_v2")
GOALS = {
    "engine": {
        **dict.fromkeys(_CONVOLUTIONS, _WIDE),
        **dict.fromkeys(_MOBILES, _MOBILE),
        "mlp_1024": {"0.9": (2, 3, 4), "0.95": (4, 5, 7), "0.98": (7, 8, 10)},
        "resnet50": {"0.9": 3},
    },
    "engine_int8": {
        **dict.fromkeys(_CONVOLUTIONS, _WIDE_INT8),
        **dict.fromkeys(_MOBILES, _MOBILE),
        "mlp_1024": {
            "0.9": (1, None, 2),
            "0.95": (1.5, None, 3.5),
            "0.98": (2, None, 5),
        },
        "resnet50": {"0.9": 2},
    },
}
# What the engine is compared with, and the masks that it is meant for.
AGAINST = {"engine": ("lite", "weight"), "engine_int8": ("lite_int8", "block")}
_NOT, _AGAIN = "**not reached**", "measure again"


def goal(network, share, batch, form):
    """Return how many times as fast as LiteRT a row is to be, or `None`."""
    of_network = GOALS[form].get(network.split(",")[0], {})
    found = of_network.get(share)
    if isinstance(found, tuple):
        return dict(zip(BATCHES, found, strict=True)).get(batch)
    return found


def usual(rows, kind):
    """Return the least milliseconds of LiteRT, of its dense or sparse file."""
    found = [row for row in rows if row["form"] in (kind, f"{kind}, dense")]
    return {
        which: min((float(row[which]) for row in found), default=None)
        for which in ("median_ms", "least_ms")
    }


def ratios(rows, row, kind):
    """Return how many times as fast as LiteRT, by medians and least times."""
    base = usual(rows, kind)
    return [base[which] / float(row[which]) for which in base if base[which]]


def verdict(found, wanted):
    """Return what a goal and two ratios say."""
    if wanted is None:
        return ""
    words = [] if min(found) >= wanted else [_NOT]
    if max(found) > 1.05 * min(found):
        # Machines have two speeds.
        words.append(_AGAIN)
    return ", ".join(words)


def latest(rows):
    """Return the rows of the last day that a network was measured.

    Days may be of other machines: what is compared is of one.
    """
    found = []
    for group in grouped(rows, *KEYS[:4]).values():
        last = max(row["date"] for row in group)
        found += [row for row in group if row["date"] == last]
    return found


def share_of_ideal(row):
    """Return the bytes of a row divided by those of weights and indices."""
    return (
        f"{int(row['bytes']) / int(row['ideal']):.2f}" if row["ideal"] else ""
    )


def grouped(rows, *keys):
    """Return rows by the values of some keys, in their order."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def summary(rows):
    """Return the lines of the table of goals."""
    head = ("network", "sparsity", "batch", "threads", "form", "LiteRT, ms")
    head = (*head, "ms", "times as fast", "by least times", "goal", "")
    head = (*head, "bytes / ideal", "accuracy (LiteRT)")
    lines = [line(head), line(["---"] * len(head))]
    for key, group in grouped(latest(rows), *KEYS[:5]).items():
        network, share, kind, threads, batch = key
        by_form = {row["form"]: row for row in group}
        for form, (other, masks) in AGAINST.items():
            row = by_form.get(form)
            if row is None or not kind.startswith(masks):
                continue
            found = ratios(group, row, other)
            if len(found) < 2:
                continue
            wanted = goal(network, share, batch, form)
            lite = usual(group, other)["median_ms"]
            of_lite = by_form.get(other) or by_form[f"{other}, dense"]
            scored = row["accuracy"]
            cells = (network, share, batch, threads, form, f"{lite:.3f}")
            cells = (*cells, f"{float(row['median_ms']):.3f}")
            cells = (*cells, *(f"{one:.2f}" for one in found))
            cells = (*cells, f"{wanted or ''}", verdict(found, wanted))
            cells = (*cells, share_of_ideal(row))
            cells = (*cells, scored and f"{scored} ({of_lite['accuracy']})")
            lines.append(line(cells))
    return [*lines, "", *missing(rows)]


def missing(rows):
    """Return a paragraph of what has a goal and was not measured."""
    there = {
        (row["network"].split(",")[0], row["sparsity"], row["form"])
        for row in rows
        if row["form"] in AGAINST
        and row["granularity"].startswith(AGAINST[row["form"]][1])
    }
    names = []
    for form, of_networks in GOALS.items():
        for network, shares in of_networks.items():
            left = [one for one in shares if (network, one, form) not in there]
            if left:
                names.append(f"{network} at {', '.join(left)} ({form})")
    return [f"Not measured: {'; '.join(names)}.", ""] if names else []


def details(rows):
    """Return the lines of a table for each network and number of threads."""
    lines = []
    for (network, share, kind, threads, day), group in grouped(
        rows, *KEYS[:4], "date"
    ).items():
        batches = grouped(group, "batch")
        head = ["form", "runtime", "bytes", "bytes / ideal", "accuracy"]
        for (batch,) in batches:
            head += [f"batch {batch}, ms (least)", "times LiteRT, its int8"]
        title = f"### {network} at {share}, {kind}, threads: {threads}, {day}"
        lines += ["", title, "", line(head), line(["---"] * len(head))]
        for row in group:
            if row["batch"] != group[0]["batch"]:
                continue
            cells = [row["form"], row["runtime"], f"{int(row['bytes']):,}"]
            cells += [share_of_ideal(row), row["accuracy"]]
            for others in batches.values():
                cells += times(others, row["form"])
            lines.append(line(cells))
    return lines


def times(rows, form):
    """Return milliseconds, and how many times as fast as LiteRT."""
    row = next((one for one in rows if one["form"] == form), None)
    if row is None:
        return ["", ""]
    cells = [
        f"{found[0]:.2f}" if (found := ratios(rows, row, kind)) else "-"
        for kind in ("lite", "lite_int8")
    ]
    taken = [f"{float(row[name]):.3f}" for name in ("median_ms", "least_ms")]
    return [f"{taken[0]} ({taken[1]})", ", ".join(cells)]


def page():
    """Put the tables on the page."""
    rows = [*tables.read(FILE).values()]
    lines = [*summary(rows), *details(rows)]
    tables.renew(FILE.with_suffix(".md"), "\n".join(lines))


def line(found):
    """Return a line of a table."""
    return f"| {' | '.join(found)} |"
