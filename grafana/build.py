#!/usr/bin/env python3
"""Writes grafana/dashboards/*.json and grafana/notes.json.

    $(grafana/python) grafana/build.py            # writes
    $(grafana/python) grafana/build.py --check    # says what differs from the committed files, and fails if anything does
"""

import argparse
import json
import pathlib
import sys

from builders import alerts, check, databases, exporter, host, overview, performance
from builders.render import dashboard_json, notes

HERE = pathlib.Path(__file__).resolve().parent
PAGES = {"overview": overview, "check": check, "alerts": alerts, "performance": performance, "databases": databases, "host": host,
         "exporter": exporter}


def text(content):
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def files():
    gathered = {"waivers": [], "scenarios": [], "thresholds": []}
    result = {}
    for name, module in PAGES.items():
        result[HERE / "dashboards" / f"{name}.json"] = text(dashboard_json(module.DASHBOARD))
        for key, entries in notes(module.DASHBOARD).items():
            gathered[key] += entries
    result[HERE / "notes.json"] = text(gathered)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a committed file differs")
    arguments = parser.parse_args()
    built = files()
    if arguments.check:
        committed = {*(HERE / "dashboards").glob("*.json"), HERE / "notes.json"}
        different = sorted(path for path in committed | set(built) if not path.is_file() or built.get(path) != path.read_text())
        for path in different:
            print(f"{path.relative_to(HERE.parent)} is not what grafana/build.py writes: run it, and commit the result")
        sys.exit(1 if different else 0)
    (HERE / "dashboards").mkdir(exist_ok=True)
    for path, content in built.items():
        path.write_text(content)
        print(f"{path.relative_to(HERE.parent)}: {len(content)} bytes")


if __name__ == "__main__":
    main()
