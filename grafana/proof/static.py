"""The twenty points, as far as the JSON alone can tell."""

import re
from urllib.parse import urlsplit

from . import promql
from .catalogue import OTHERS, panels
from .panel import Panels

SCRAPE_SECONDS = 15
COMMON_LABELS = {"job", "instance", "alertname", "alertstate", "severity"}


def seconds(text):
    match = re.fullmatch(r"(\d+)([smh])", text or "")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0


class Static(Panels):
    """`recorded` has the labels of recorded series, which only a Prometheus that records them knows."""

    def __init__(self, pages, notes, metrics, rules, runbooks=None, recorded=None):
        self.pages, self.notes, self.metrics, self.rules, self.runbooks = pages, notes, {**metrics, **OTHERS}, rules, runbooks
        self.recorded = recorded
        self.found, self.used = [], set()
        self.uids = {page.get("uid"): page for page in pages.values()}
        self.every_label = COMMON_LABELS | rules.labels | {label for _, labels in metrics.values() for label in labels} | {"rule_group"}

    def say(self, page, what, words):
        self.found.append(f"{page.get('uid', '?')}: {what + ': ' if what else ''}{words}")

    def noted(self, kind, page, panel, **more):
        """Whether the builder left a note on this place. Notes that nobody needs are reported at the end."""
        for index, note in enumerate(self.notes[kind]):
            wanted = {"dashboard": page["uid"], "panel": panel, **more}
            if all(note.get(key) == value for key, value in wanted.items()):
                self.used.add((kind, index))
                return note
        return None

    def run(self):
        titles = [page.get("title") for page in self.pages.values()]
        if len(set(titles)) != len(titles):
            self.found.append("two dashboards have the same title")
        for name, page in self.pages.items():
            # So no two have the same.
            if page.get("uid") != f"banken-{name.removesuffix('.json')}":
                self.say(page, "", f"the uid does not fit the file {name}")
            self.page(page)
        self.alerts()
        for kind in ("waivers", "thresholds"):
            for index, note in enumerate(self.notes[kind]):
                if (kind, index) not in self.used and self.recorded is not None:
                    self.found.append(f"{note['dashboard']}: {note.get('panel') or note.get('variable')}: the note in {kind} is not needed")
        return self.found

    # --- provisioning: point 20

    def provisioning(self, folder):
        """The files that the compose stack gives to Grafana, read as text: a YAML library is nothing that Python has."""
        wanted = {"dashboards": ["allowUiUpdates: false", "type: file"],
                  "datasources": ["uid: banken-prometheus", "editable: false", "isDefault: true", "timeInterval: "]}
        for kind, lines in wanted.items():
            text = "\n".join(path.read_text() for path in sorted((folder / kind).glob("*.yml")))
            for line in lines:
                if line not in text:
                    self.found.append(f"{folder / kind}: there is no {line!r}")
            if re.search(r"(?<!\$)\$(?!\$)", text):
                self.found.append(f"{folder / kind}: a $ that Grafana would take for a variable; $$ is a literal one")
        return self.found

    # --- a page as a whole: points 1 to 5, 18, 20

    def page(self, page):
        if page.get("id", 0) is not None or page.get("schemaVersion", 0) < 39 or "__inputs" in page:
            self.say(page, "", "wanted is a bare dashboard with id null and schemaVersion 39 or later")
        if not page.get("title", "").endswith("?") or len(page.get("description") or "") < 20 or "banken" not in page.get("tags", []):
            self.say(page, "", "wanted are a title that asks, a description, and the tag banken")
        if page.get("editable") or page.get("graphTooltip") != 1 or seconds(page.get("refresh")) < SCRAPE_SECONDS:
            self.say(page, "", "wanted are read-only, a shared crosshair, and a refresh not faster than the scrape")
        self.sources(page, page)
        self.variables(page)
        self.annotations(page)
        self.layout(page)
        seen = set()
        for _, panel in panels(page):
            title = panel.get("title")
            if not title or title in seen:
                self.say(page, title or "a panel", "the title is missing or not unique")
            seen.add(title)
            self.panel(page, panel)

    def sources(self, page, value):
        if isinstance(value, dict):
            source = value.get("datasource")
            if source is not None and source != {"type": "prometheus", "uid": "${datasource}"}:
                self.say(page, "", f"a data source that is not the variable: {source}")
            for inner in value.values():
                self.sources(page, inner)
        elif isinstance(value, list):
            for inner in value:
                self.sources(page, inner)

    def variables(self, page):
        every = page["templating"]["list"]
        sources = [one for one in every if one["type"] == "datasource"]
        if len(sources) != 1 or sources[0]["name"] != "datasource" or sources[0].get("query") != "prometheus":
            self.say(page, "", "wanted is one variable `datasource` of type prometheus")
        before = []
        for one in (one for one in every if one["type"] == "query"):
            name = one["name"]
            if one.get("refresh") != 2 or not one.get("multi") or not one.get("label") or not one.get("description"):
                self.say(page, name, "wanted are refresh on a change of the range, several values, a label and a description")
            if not one.get("includeAll") and not self.noted("waivers", page, None, variable=name):
                self.say(page, name, "there is no All")
            inner = re.fullmatch(r"label_values\((.*), (\w+)\)", one["query"]["query"])
            if not inner or inner[2] != name:
                self.say(page, name, "the query is not label_values of its own label")
                continue
            chain = {"job": [], "instance": ["job"], "group": ["job", "instance"]}.get(name, ["job", "instance", "group"])
            selectors = promql.parse(inner[1]).selectors
            chained = {value.strip("$") for _, operator, value in selectors[0].matchers if operator == "=~" and value.startswith("$")}
            if name == "mount":
                chain = ["job", "instance"]
            if not set(chain) <= chained or not chained <= set(before):
                self.say(page, name, f"wanted is a chain behind {chain}, found is {sorted(chained)}")
            self.known(page, name, selectors[0])
            before.append(name)
        if before[:4] != ["job", "instance", "group", "probe"]:
            self.say(page, "", "wanted are the variables job, instance, group, probe in this order")

    def annotations(self, page):
        found = page["annotations"]["list"]
        shape = re.compile(r'(ALERTS\{alertstate="firing",(.+)\}) unless (ALERTS\{alertstate="firing",\2\}) offset 1m')
        for one in found:
            if not shape.fullmatch(one.get("expr", "")) or 'job=~"$job|"' not in one["expr"] or seconds(one.get("step")) < 60:
                self.say(page, "annotation", "wanted are onsets of alerts with the filters of the page and a step of a minute at least")
        if not found:
            self.say(page, "", "onsets of alerts are not marked")

    def layout(self, page):
        visible = [panel for panel in page["panels"]]
        if sum(panel["type"] != "row" for panel in visible) > 25:
            self.say(page, "", "more than 25 panels are visible")
        groups = [visible] + [row.get("panels") or [] for row in visible if row["type"] == "row"]
        identifiers = [panel["id"] for _, panel in panels(page)] + [panel["id"] for panel in visible if panel["type"] == "row"]
        if len(set(identifiers)) != len(identifiers):
            self.say(page, "", "two panels have the same id")
        for row in (panel for panel in visible if panel["type"] == "row"):
            if not row.get("collapsed") or not row.get("panels"):
                self.say(page, row.get("title"), "the row is not collapsed, or empty")
        for group in groups:
            taken = {}
            for panel in group:
                place = panel["gridPos"]
                if place["x"] < 0 or place["w"] < 1 or place["h"] < 1 or place["x"] + place["w"] > 24:
                    self.say(page, panel["title"], "it stands outside of the 24 columns")
                for x in range(place["x"], place["x"] + place["w"]):
                    for y in range(place["y"], place["y"] + place["h"]):
                        other = taken.setdefault((x, y), panel["title"])
                        if other != panel["title"]:
                            self.say(page, panel["title"], f"it lies over {other!r}")
                            return

    # --- alerts: point 19

    def alerts(self):
        for file, name, dashboard, runbook in self.rules.alerts:
            # A second severity shares the annotations of the first one.
            if dashboard is not None:
                uid = urlsplit(dashboard).path.removeprefix("/d/")
                variables = {one["name"] for one in self.uids[uid]["templating"]["list"]} if uid in self.uids else set()
                given = set(re.findall(r"var-(\w+)=", dashboard))
                if uid not in self.uids or not given <= variables:
                    self.found.append(f"{file}: {name}: dashboard_url leads nowhere, or gives a variable that is not there: {dashboard}")
            if runbook is not None and self.runbooks is not None:
                page = self.runbooks / f"{runbook.rsplit('/', 1)[1]}.md"
                if not page.is_file():
                    self.found.append(f"{file}: {name}: there is no {page}")
        if not any(dashboard for _, _, dashboard, _ in self.rules.alerts):
            self.found.append("no alert has a dashboard_url")
