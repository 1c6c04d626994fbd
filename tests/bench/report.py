#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes of the guest's numbers one JSON file, one HTML page, and a table on stdout.

Usage: report.py RESULTS KERNEL DIRECTORY VERSION
"""

import html
import json
import pathlib
import sys

COLUMNS = [
    ("randread-4k", "rand read 4k"),
    ("randwrite-4k", "rand write 4k"),
    ("randwrite-4k-new", "rand write 4k, new"),
    ("seqread-64k", "seq read 64k"),
    ("seqwrite-64k-new", "seq write 64k, new"),
    ("seqwrite-64k-new-volatile", "... with a volatile cache"),
    ("seqwrite-64k-new-checksums", "... with checksums"),
    ("seqwrite-64k", "seq write 64k"),
    ("seqread-1m", "seq read 1M"),
    ("randread-4k-million", "rand read 4k, a million extents"),
]
RAW = {
    "randwrite-4k-new": "randwrite-4k",
    "seqwrite-64k-new": "seqwrite-64k",
    "seqwrite-64k-new-volatile": "seqwrite-64k-volatile",
    "seqwrite-64k-new-checksums": "seqwrite-64k",
}
SYNCED = [
    ("cache-writes", "cache writes"),
    ("cache-flushes", "cache flushes"),
    ("backing-writes", "backing writes"),
    ("backing-flushes", "backing flushes"),
    ("meta-writes", "metadata writes"),
    ("meta-flushes", "metadata flushes"),
]
OTHERS = [
    ("memory-empty", "kernel memory, empty, bytes"),
    ("memory-full", "kernel memory, 132 MiB cached, bytes"),
    ("activation-ms", "activation, ms of work"),
    ("activation-read-kib", "activation reads of the cache device, KiB"),
    ("zipf-iops-first", "zipf reads, first time, IOPS"),
    ("zipf-iops-again", "zipf reads, again, IOPS"),
]
LARGE = [
    ("activation-64g-ms", "64 GiB, closed: activation, ms"),
    ("activation-64g-read-kib", "reads, KiB"),
    ("activation-crash-log-kib", "after a crash: log, KiB"),
    ("activation-crash-ms", "activation, ms"),
    ("activation-crash-read-kib", "reads, KiB"),
    ("removal-64g-ms", "removal, ms of work"),
]
HOT_SET = [(f"{name}-{i}", f"{label} {i + 1}")
           for name, label in (("zipf", "hits,"), ("moved", "moved,")) for i in range(4)]
LOOKUPS = [
    ("lookup-50k", "50 thousand extents"),
    ("lookup-50m", "50 million"),
]
ONCE = [
    ("once-read-mib", "read from the backing device, MiB"),
    ("once-write-mib", "written to the cache, MiB"),
]
TRACE = [(f"{kind}-{what}", f"{kind}: {label}")
         for kind in ("hdd", "net")
         for what, label in (("ms", "ms"), ("hits", "read hits"), ("read-kib", "read, KiB"),
                             ("write-kib", "written, KiB"))]
SCALING = [
    ("1", "1 reader, IOPS"),
    ("2", "2"),
    ("4", "4"),
]
AMPLIFICATION = [
    ("fill-1-gib", "fills, 1 GiB"),
    ("write-1-gib", "write-back, 1 GiB"),
    ("fill-64-gib", "fills, 64 GiB"),
    ("write-64-gib", "write-back, 64 GiB"),
]


def read_results(path):
    """{target: {what: number}}, in the order of the file."""
    results = {}
    for line in path.read_text().splitlines():
        target, what, number = line.split("\t")
        results.setdefault(target, {})[what] = float(number) if number else None
    return results


def instructions(results):
    """Rows of what each target adds to the raw disk."""
    raw = results["raw"]
    rows = {}
    for target, numbers in results.items():
        if target == "raw" or not any(what in numbers for what, _ in COLUMNS):
            continue
        rows[target] = [
            None if numbers.get(what) is None
            else numbers[what] - raw[RAW.get(what, what)]
            for what, _ in COLUMNS
        ]
    return rows


def pick(results, wanted, prefix="", suffix=""):
    """Rows of numbers as they are."""
    rows = {target: [numbers.get(prefix + what + suffix) for what, _ in wanted]
            for target, numbers in results.items()}
    return {target: row for target, row in rows.items()
            if any(number is not None for number in row)}


def shown(number):
    if number is None:
        return "-"
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.2f}" if number > 10 else f"{number:.3f}"


def text_table(title, names, rows):
    lines = [[title, *names]]
    lines += [[target, *map(shown, row)] for target, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        )
        for line in lines
    )


def html_table(names, rows):
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ["", *names])
    body = "".join(
        f"<tr><th>{html.escape(target)}</th>"
        + "".join(f"<td>{shown(number)}</td>" for number in row) + "</tr>"
        for target, row in rows.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def bars(title, pairs):
    """A bar for each (name, number), as SVG."""
    pairs = [(name, number) for name, number in pairs if number is not None]
    if not pairs:
        return ""
    longest = max(max(number for _, number in pairs), 1)
    parts = [f'<text x="0" y="14" class="title">{html.escape(title)}</text>']
    for i, (name, number) in enumerate(pairs):
        y = 24 + i * 20
        width = max(number, 0) / longest * 320
        mark = ' class="own"' if name == "vci" else ""
        parts.append(
            f'<text x="90" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="96" y="{y}" width="{width:.1f}" height="15"{mark}/>'
            f'<text x="{100 + width:.1f}" y="{y + 13}">{shown(number)}</text>'
        )
    height = 28 + len(pairs) * 20
    return f'<svg width="520" height="{height}" role="img">{"".join(parts)}</svg>'


def plots(wanted, rows):
    return "".join(
        bars(name, [(target, row[i]) for target, row in rows.items()])
        for i, (_, name) in enumerate(wanted)
    )


STYLE = """
body { font: 14px sans-serif; margin: 2em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { border-bottom: 1px solid #ccc; padding: 3px 10px; text-align: right; }
svg { margin: 0 2em 1em 0; } svg text { font: 12px sans-serif; }
svg .title { font-weight: bold; } rect { fill: #9ab; } rect.own { fill: #c40; }
"""


def page(about, sections):
    body = "".join(
        f"<h2>{html.escape(title)}</h2>"
        + html_table([name for _, name in wanted], rows) + plots(wanted, rows)
        for title, wanted, rows in sections if rows
    )
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>dm-vci</title>'
        f"<style>{STYLE}</style><h1>dm-vci beside its peers</h1>"
        f"<p>{html.escape(about)}</p>{body}</html>\n"
    )


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    kernel, out, version = sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
    results = read_results(pathlib.Path(sys.argv[1]))
    sections = [
        ("Instructions added to an I/O of a RAM disk", COLUMNS, instructions(results)),
        ("I/Os for each synced 4 KiB write of a new block", SYNCED,
         pick(results, SYNCED, "synced-new-")),
        ("... and of one that was written before", SYNCED,
         pick(results, SYNCED, "synced-again-")),
        ("Memory, activation, misses (backing device: 5 ms)", OTHERS,
         pick(results, OTHERS)),
        ("Bytes written to a full cache for each of new data, by random 4 KiB (in userspace)",
         AMPLIFICATION, pick(results, AMPLIFICATION, "amplification-")),
        ("Instructions of a lookup in the tree, alone, in userspace, among", LOOKUPS,
         pick(results, LOOKUPS)),
        ("Large caches, full of 4 KiB extents", LARGE, pick(results, LARGE)),
        ("Share of zipf reads without a read of the backing device, each 50,000, cold",
         HOT_SET, pick(results, HOT_SET, suffix="-hits")),
        ("Random 4 KiB reads, 64 MiB of 4 GiB, none of them twice (backing device: 5 ms)", ONCE,
         pick(results, ONCE)),
        ("A trace, cold, on a disk and on a network volume", TRACE,
         pick(results, TRACE, "trace-")),
        ("Readers of what is cached, each on a processor of its own; wall clock, compare "
         "within a row", SCALING, pick(results, SCALING, "readers-")),
    ]
    about = (f"Kernel {kernel}, dm-vci {version}; one processor under -icount: "
             "exact counts, and times of the guest's own clock.")
    (out / "results.json").write_text(json.dumps(
        {"kernel": kernel, "version": version, "results": results}, indent=1) + "\n")
    (out / "results.html").write_text(page(about, sections))
    print(about)
    for title, wanted, rows in sections:
        if not rows:
            continue
        print(f"\n{title}\n" + text_table("", [name for _, name in wanted], rows))
    print(f"\n{out / 'results.json'}\n{out / 'results.html'}")


if __name__ == "__main__":
    main()
