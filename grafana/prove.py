#!/usr/bin/env python3
"""Proves that the dashboards are right: what can be seen in the JSON, and what a Prometheus with live series says.

    python3 grafana/prove.py --metrics target/debug/banken                              # the JSON alone
    python3 grafana/prove.py --metrics target/debug/banken --prometheus http://…:9090   # and a Prometheus that is there
    python3 grafana/prove.py --banken target/debug/banken                               # and a stage of its own: see stage.py
    … --bite                                                                            # shows that the proof can fail

Nothing but Python is needed. Exit status: 0 proved, 1 not.
"""

import argparse
import json
import pathlib
import signal
import sys

from proof import bite, catalogue
from proof.live import Live, Prometheus
from proof.servers import Empty
from proof.static import Static
from stage import Stage

HERE = pathlib.Path(__file__).resolve().parent
PROVISIONING = HERE.parent / "deploy" / "grafana" / "provisioning"
SCENARIOS = "healthy,broken,outage"


class Proof:
    def __init__(self, arguments):
        self.arguments = arguments
        self.scenarios = set((arguments.scenarios or SCENARIOS).split(","))
        self.pages = catalogue.pages(arguments.dashboards)
        self.notes = json.loads((HERE / "notes.json").read_text())
        self.metrics = catalogue.metrics_of(arguments.metrics or arguments.banken)
        self.rules = catalogue.Rules(arguments.rules)
        self.runbooks = arguments.runbooks if arguments.runbooks.is_dir() else None

    def static(self, pages=None, recorded=None, notes=None, provisioning=PROVISIONING, runbooks=None, rules=None):
        runbooks = runbooks or self.runbooks
        proof = Static(pages or self.pages, notes or self.notes, self.metrics, rules or self.rules, runbooks, recorded)
        proof.run()
        return proof.provisioning(provisioning) if provisioning.is_dir() else proof.found

    def live(self, url, pages=None):
        arguments = self.arguments
        prometheus = Prometheus(url)
        live = Live(prometheus, pages or self.pages, self.notes, self.scenarios, arguments.range, arguments.scrape)
        return live, live.run()


def report(what, found):
    print(f"{what}: {'proved' if not found else f'{len(found)} faults'}", flush=True)
    for one in found:
        print(f"  {one}")
    return not found


def count(pages):
    every = [panel for page in pages.values() for _, panel in catalogue.panels(page)]
    return f"{len(pages)} dashboards, {len(every)} panels, {sum(len(panel['targets']) for panel in every)} queries"


def with_prometheus(proof, url):
    prometheus = Prometheus(url)
    recorded = prometheus.recorded(proof.rules.recorded)
    good = report(f"static ({count(proof.pages)})", proof.static(recorded=recorded))
    live, found = proof.live(url)
    good &= report(f"live ({live.asked} queries asked)", found)
    for scenario, places in sorted(live.left_out.items()):
        print(f"left out, because the scenario {scenario} is not here: {len(places)}")
        for place in places:
            print(f"  {place}")
    return good


def bites(proof, url):
    with Empty() as empty:
        return bites_of_files(proof) & bite.live(proof, url, empty.url)


def bites_of_files(proof):
    return bite.static(proof, PROVISIONING if PROVISIONING.is_dir() else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dashboards", type=pathlib.Path, default=HERE / "dashboards", help="the folder of dashboards")
    parser.add_argument("--rules", type=pathlib.Path, default=HERE.parent / "alert-rules", help="the folder of alert rules")
    parser.add_argument("--runbooks", type=pathlib.Path, default=HERE.parent / "docs" / "runbooks", help="the folder of runbooks")
    parser.add_argument("--metrics", help="every metric: a binary of Banken, or a file with the output of `banken kinds --metrics`")
    parser.add_argument("--banken", help="a binary of Banken: sets up a stage, and proves with it")
    parser.add_argument("--prometheus", help="a Prometheus that scrapes Banken and has the rules")
    parser.add_argument("--scenarios", help=f"what that Prometheus has to show; default {SCENARIOS}")
    parser.add_argument("--range", type=int, default=600, help="the range of the pages in seconds; default 600")
    parser.add_argument("--scrape", type=int, default=1, help="the scrape interval in seconds; default 1")
    parser.add_argument("--bite", action="store_true", help="show that the proof fails when something is wrong")
    arguments = parser.parse_args()
    # So that what was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not arguments.metrics and not arguments.banken:
        parser.error("--metrics or --banken is needed: the proof must know which metrics there are")
    proof = Proof(arguments)
    if arguments.prometheus:
        good = with_prometheus(proof, arguments.prometheus)
        if arguments.bite:
            good &= bites(proof, arguments.prometheus)
    elif arguments.banken:
        with Stage(arguments.banken, arguments.rules, arguments.scrape) as stage:
            stage.settle()
            proof.scenarios = set(arguments.scenarios.split(",")) if arguments.scenarios else stage.scenarios
            good = with_prometheus(proof, stage.prometheus)
            if arguments.bite:
                good &= bites(proof, stage.prometheus)
    else:
        good = report(f"static ({count(proof.pages)})", proof.static())
        if arguments.bite:
            good &= bites_of_files(proof)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
