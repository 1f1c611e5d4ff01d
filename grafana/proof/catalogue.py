"""What there is: metrics of Banken, recorded series and thresholds of the rule files, dashboards, runbooks."""

import json
import pathlib
import re
import subprocess

# What Prometheus gives for every target, and the few of its own metrics that a page shows.
OTHERS = {
    "up": ("gauge", {"job", "instance"}),
    "scrape_duration_seconds": ("gauge", {"job", "instance"}),
    "scrape_samples_scraped": ("gauge", {"job", "instance"}),
    "ALERTS": ("gauge", None),
    "ALERTS_FOR_STATE": ("gauge", None),
    "prometheus_rule_evaluation_failures_total": ("counter", {"job", "instance", "rule_group"}),
    "prometheus_rule_group_last_duration_seconds": ("gauge", {"job", "instance", "rule_group"}),
}
ROW = re.compile(r"^\| `([a-z_][a-z0-9_]*)` \| (gauge|counter|histogram) \| ([^|]*) \|", re.MULTILINE)
RECORD = re.compile(r"^ +- record: (\S+)$", re.MULTILINE)


def metrics(text):
    """Family → (type, labels), from what `banken kinds --metrics` prints."""
    found = {}
    for name, kind, labels in ROW.findall(text):
        own = {label.strip() for label in labels.split(",") if label.strip() not in {"", "–"}} | {"job", "instance"}
        if kind == "histogram":
            found |= {f"{name}_bucket": ("counter", own | {"le"}), f"{name}_count": ("counter", own), f"{name}_sum": ("counter", own)}
            continue
        before = found.get(name, (kind, set()))[1]
        found[name] = (kind, own | before)
    if not found:
        raise ValueError("no metric in the list: give the output of `banken kinds --metrics`")
    return found


def metrics_of(source):
    """From a file, or from a binary of Banken."""
    path = pathlib.Path(source)
    if path.suffix in {".md", ".txt"}:
        return metrics(path.read_text())
    return metrics(subprocess.run([str(path), "kinds", "--metrics"], check=True, capture_output=True, text=True, timeout=60).stdout)


def number(expression):
    """The number of `vector(21 * 86400)` or `(… * 0 + 512 * 1024 * 1024)`, if the rule has one."""
    found = re.search(r"vector\(([-\d. *]+)\)", expression) or re.search(r"\* 0 \+ ([\d. *]+)\)", expression)
    if not found:
        return None
    product = 1.0
    for factor in found.group(1).split("*"):
        product *= float(factor)
    return product


class Rules:
    def __init__(self, folder):
        self.recorded, self.numbers, self.alerts, self.labels = set(), {}, [], set()
        for path in sorted(pathlib.Path(folder).glob("*.yml")):
            text = path.read_text()
            for rule in re.split(r"^ +- (?=record:|alert:)", text, flags=re.MULTILINE)[1:]:
                self._rule(path.name, rule)
        if not self.recorded:
            raise ValueError(f"no rules in {folder}")

    def _rule(self, file, rule):
        name = rule.split("\n", 1)[0].split(": ", 1)[1].strip()
        labels = dict(re.findall(r"(\w+): ([\w.]+)", (re.search(r"^ +labels: \{(.*)\}", rule, re.MULTILINE) or ["", ""])[1]))
        self.labels |= set(labels)
        if rule.startswith("record:"):
            self.recorded.add(name)
            expression = rule.split("expr:", 1)[1].split("- alert:")[0]
            if (value := number(expression)) is not None:
                self.numbers.setdefault(name, []).append((value, labels))
        else:
            url = lambda key: (re.search(rf"^ +{key}: '?(\S+?)'?(?: |$)(?:.*)", rule, re.MULTILINE) or [None, None])[1]
            full = re.search(r"^ +dashboard_url: (.*)$", rule, re.MULTILINE)
            self.alerts.append((file, name, full[1].strip("' ") if full else None, url("runbook_url")))


def pages(folder):
    return {path.name: json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("*.json"))}


def panels(page):
    """Panels with their row, those inside of collapsed rows too."""
    for panel in page["panels"]:
        if panel["type"] == "row":
            for inner in panel.get("panels") or []:
                yield panel, inner
        else:
            yield None, panel
