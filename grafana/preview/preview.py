#!/usr/bin/env python3
"""Draws each dashboard from a live Prometheus into docs/images/dashboard-NAME.png, with headless Chromium.

    python3 grafana/preview/preview.py --prometheus http://127.0.0.1:9090 [--rows] [--probe ticker] [NAME …]

It is a preview: it shows which data the panels have, not how Grafana draws them.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from proof.catalogue import pages, panels  # noqa: E402
from proof.grafana import Times, regex, substitute  # noqa: E402
from proof.live import VARIABLE, Prometheus, Refused  # noqa: E402

UNIT, WIDTH = 38, 1600


def choose(prometheus, page, wanted, start, end):
    """All of everything; where there is no All, what is wanted, or the first."""
    values, shown = {}, {}
    for one in (one for one in page["templating"]["list"] if one["type"] == "query"):
        match, label = VARIABLE.fullmatch(one["query"]["query"]).groups()
        found = sorted(prometheus.ask(f"label/{label}/values", **{"match[]": substitute(match, values)}, start=start, end=end))
        if one.get("includeAll"):
            values[one["name"]], shown[one["name"]] = one.get("allValue") or regex(found), "All"
        else:
            chosen = wanted if wanted in found else found[0]
            values[one["name"]], shown[one["name"]] = regex([chosen]), chosen
    return values, shown


def answers(prometheus, page, values, times, start, end):
    found = {"steps": {}}
    for _, panel in panels(page):
        step = found["steps"][panel["id"]] = times.step(panel)
        for target in panel["targets"]:
            expression = substitute(target["expr"], {**values, **times.builtin(panel)})
            try:
                if target.get("range"):
                    result = prometheus.ask("query_range", query=expression, start=start, end=end, step=step)
                else:
                    result = prometheus.ask("query", query=expression, time=end)
            except Refused as error:
                sys.exit(f"{page['uid']}: {panel['title']}: {error}")
            found[f"{panel['id']} {target['refId']}"] = result["result"]
    return found


def tall(page, rows):
    """How high the picture must be, in units of the grid."""
    bottom = shift = 0
    for panel in page["panels"]:
        place = panel["gridPos"]
        bottom = max(bottom, place["y"] + shift + place["h"])
        if panel["type"] == "row" and rows:
            first = place["y"] + 1
            bottom = max(place["y"] + shift + 1 + inner["gridPos"]["y"] - first + inner["gridPos"]["h"] for inner in panel["panels"])
            shift = bottom - first
    return bottom


def draw(content, to, height):
    text = (HERE / "preview.html").read_text()
    data = json.dumps(content).replace("</", "<\\/")
    for mark, part in (("STYLE", (HERE / "preview.css").read_text()), ("SCRIPT", (HERE / "preview.js").read_text()), ("DATA", data)):
        text = text.replace(mark, part, 1)
    chromium = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory(prefix="banken-preview-") as folder:
        page = pathlib.Path(folder) / "page.html"
        page.write_text(text)
        subprocess.run([chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb",
                        f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{height}", f"--screenshot={to}", page.as_uri()],
                       check=True, capture_output=True, timeout=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="dashboards; without any, all of them")
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--to", type=pathlib.Path, default=HERE.parent.parent / "docs" / "images")
    parser.add_argument("--probe", default="ticker", help="the probe of the page of one probe")
    parser.add_argument("--range", type=int, default=900, help="seconds")
    parser.add_argument("--scrape", type=int, default=1, help="the scrape interval in seconds")
    parser.add_argument("--rows", action="store_true", help="draw what is in collapsed rows too")
    arguments = parser.parse_args()
    prometheus, times, end = Prometheus(arguments.prometheus), Times(arguments.range, arguments.scrape, points=300), time.time()
    for file, page in pages(HERE.parent / "dashboards").items():
        name = file.removesuffix(".json")
        if arguments.names and name not in arguments.names:
            continue
        values, shown = choose(prometheus, page, arguments.probe, end - arguments.range, end)
        content = {"page": page, "answers": answers(prometheus, page, values, times, end - arguments.range, end),
                   "start": end - arguments.range, "end": end, "choice": {"variables": shown, "rows": arguments.rows}}
        to = arguments.to / f"dashboard-{name}.png"
        draw(content, to, tall(page, arguments.rows) * UNIT + 84)
        print(f"{to}: {to.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
