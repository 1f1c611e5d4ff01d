"""The twenty points, as far as the JSON alone can tell."""

import re
from urllib.parse import urlsplit

from . import promql
from .catalogue import OTHERS, panels

PALETTE = {"green", "yellow", "orange", "red", "blue", "#8e8e8e"}
SEVERITY_COLOUR = {"info": "yellow", "warning": "orange", "critical": "red"}
DYNAMIC = {"$__rate_interval", "$__range"}
SUBQUERIES = {"$__range:1m", "$__interval:1m"}
SCRAPE_SECONDS = 15
COMMON_LABELS = {"job", "instance", "alertname", "alertstate", "severity"}


def seconds(text):
    match = re.fullmatch(r"(\d+)([smh])", text or "")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0


class Static:
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
        if len(self.uids) != len(self.pages):
            self.found.append("two dashboards have the same uid")
        titles = [page.get("title") for page in self.pages.values()]
        if len(set(titles)) != len(titles):
            self.found.append("two dashboards have the same title")
        for name, page in self.pages.items():
            if page.get("uid") != f"banken-{name.removesuffix('.json')}":
                self.say(page, "", f"the uid does not fit the file {name}")
            self.page(page)
        self.alerts()
        for kind in ("waivers", "thresholds"):
            for index, note in enumerate(self.notes[kind]):
                if (kind, index) not in self.used and self.recorded is not None:
                    self.found.append(f"{note['dashboard']}: {note.get('panel') or note.get('variable')}: the note in {kind} is not needed")
        return self.found

    # --- a page as a whole: points 1 to 5, 18, 20

    def page(self, page):
        if page.get("id", 0) is not None or page.get("schemaVersion", 0) < 39 or "__inputs" in page:
            self.say(page, "", "wanted is a bare dashboard with id null and schemaVersion 39 or later")
        if not re.fullmatch(r"[a-z0-9-]{1,40}", page.get("uid", "")):
            self.say(page, "", "the uid is not readable")
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

    # --- a panel: points 6, 10 to 17, 19

    def panel(self, page, panel):
        title = panel.get("title", "?")
        description = panel.get("description") or ""
        if len(description) < 15 or description == title:
            self.say(page, title, "the description does not help")
        defaults = panel["fieldConfig"]["defaults"]
        self.unit(page, title, defaults)
        self.steps(page, title, None, defaults)
        for override in panel["fieldConfig"].get("overrides", []):
            properties = {one["id"]: one["value"] for one in override["properties"]}
            column = override["matcher"]["options"]
            if properties.get("unit") == "percentunit":
                self.unit(page, f"{title} / {column}", properties)
            self.steps(page, title, column, properties)
        self.colours(page, title, panel["fieldConfig"])
        if panel["type"] in {"state-timeline"} and not defaults.get("mappings"):
            self.say(page, title, "states have no words")
        if panel["type"] in {"stat"} and not defaults.get("noValue"):
            self.say(page, title, "missing data looks like nothing at all: set no_value")
        if defaults.get("color", {}).get("mode") == "thresholds" and panel["type"] == "timeseries":
            self.say(page, title, "lines are not coloured by thresholds: draw the recorded series")
        self.links(page, title, panel)
        if not panel.get("targets"):
            self.say(page, title, "there is no query")
        for target in panel.get("targets", []):
            self.target(page, panel, target)

    def unit(self, page, what, config):
        if not config.get("unit"):
            self.say(page, what, "there is no unit")
        if config.get("unit") == "percentunit" and (config.get("min"), config.get("max")) != (0, 1):
            self.say(page, what, "a ratio without min 0 and max 1")

    def steps(self, page, title, column, config):
        steps = (config.get("thresholds") or {}).get("steps")
        if steps is None:
            if column is None:
                self.say(page, title, "Grafana's default thresholds: red from 80 on")
            return
        numbers = [(step["value"], step["color"]) for step in steps if step["value"] is not None]
        note = self.noted("thresholds", page, title, column=column)
        if not note:
            if any(value not in (0, 1) for value, _ in numbers):
                self.say(page, title, f"thresholds {numbers} come from no recorded series")
            return
        known = self.rules.numbers.get(note["series"], [])
        wanted = {(value, SEVERITY_COLOUR.get(labels.get("severity"))) for value, labels in known}
        if note["series"].endswith(":objective"):
            numbers_fit = {value for value, _ in numbers} == {value for value, _ in wanted}
        else:
            numbers_fit = set(numbers) == wanted
        if not known or not numbers_fit:
            self.say(page, title, f"thresholds {numbers}, but {note['series']} of the rule files has {sorted(wanted, key=str)}")

    def colours(self, page, title, value):
        if isinstance(value, dict):
            for key in ("color", "fixedColor"):
                colour = value.get(key)
                if isinstance(colour, str) and colour not in PALETTE:
                    self.say(page, title, f"the colour {colour} is not of the palette")
            for inner in value.values():
                self.colours(page, title, inner)
        elif isinstance(value, list):
            for inner in value:
                self.colours(page, title, inner)

    def links(self, page, title, value):
        if isinstance(value, dict):
            if isinstance(url := value.get("url"), str) and url:
                self.link(page, title, url)
            for inner in value.values():
                self.links(page, title, inner)
        elif isinstance(value, list):
            for inner in value:
                self.links(page, title, inner)

    def link(self, page, title, url):
        match = re.match(r"/d/([\w-]+)\?", url)
        if not match or match[1] not in self.uids:
            self.say(page, title, f"the link leads nowhere: {url}")
            return
        there = {one["name"] for one in self.uids[match[1]]["templating"]["list"]}
        named = set(re.findall(r"var-(\w+)=", url)) | set(re.findall(r"\$\{(\w+):queryparam\}", url))
        if not named <= there or not {"job", "instance"} <= named or "${__url_time_range}" not in url:
            self.say(page, title, f"the link loses the range or variables, or gives one that is not there: {url}")

    def known(self, page, what, selector):
        """Point 9, by name: the metric exists, and has the labels that it is asked for."""
        if selector.name in self.rules.recorded:
            labels = (self.recorded or {}).get(selector.name) or self.every_label
            for label, _, value in selector.matchers:
                # A group is only there where banken.yml sets one; with or without it, All finds everything.
                if label not in labels and label != "group":
                    self.say(page, what, f"{selector.name} has no label {label}")
            return
        if selector.name not in self.metrics:
            self.say(page, what, f"there is no metric {selector.name}")
            return
        labels = self.metrics[selector.name][1]
        for label, _, _ in selector.matchers:
            if labels is not None and label not in labels:
                self.say(page, what, f"{selector.name} has no label {label}")

    def target(self, page, panel, target):
        title, what = panel["title"], f"{panel['title']} / {target['refId']}"
        names = {one["name"] for one in page["templating"]["list"]} | {"__rate_interval", "__range", "__interval"}
        for variable in re.findall(r"\$\{?(\w+)", target["expr"]):
            if variable not in names:
                self.say(page, what, f"there is no variable ${variable}")
        try:
            parsed = promql.parse(target["expr"])
        except (ValueError, IndexError) as error:
            self.say(page, what, f"not understood: {error}")
            return
        unfiltered = [problem for selector in parsed.selectors for problem in self.filters(page, selector)]
        if unfiltered and not self.noted("waivers", page, title, query=target["refId"]):
            self.say(page, what, "; ".join(unfiltered))
        for selector in parsed.selectors:
            self.known(page, what, selector)
            self.window(page, what, selector)
        for label in parsed.labels - self.every_label:
            self.say(page, what, f"no series has a label {label}")
        for window in parsed.subqueries:
            if window not in SUBQUERIES:
                self.say(page, what, f"a fixed window: [{window}]")
        if any(offset != "1m" for offset in parsed.offsets):
            self.say(page, what, f"a fixed offset: {parsed.offsets}")
        if any(float(number) not in (0, 1) for number in parsed.compared if re.fullmatch(r"[\d.]+", number)):
            self.say(page, what, f"a threshold inside of the query: {parsed.compared}")
        self.zero(page, panel, target, parsed)

    def filters(self, page, selector):
        here = {one["name"] for one in page["templating"]["list"] if one["type"] == "query"}
        labels = self.metrics.get(selector.name, ("", None))[1] or (self.recorded or {}).get(selector.name) or {"job", "instance"}
        wanted = {"job", "instance"} | (labels & here)
        if "probe" in labels and "probe" in here:
            # The variable probe is narrowed by group.
            wanted.discard("group")
        given = {label for label, operator, value in selector.matchers if operator == "=~" and value in (f"${label}", f"${label}|")}
        return [f"{selector.name} does not filter by {label}" for label in sorted(wanted - given)]

    def window(self, page, what, selector):
        counter = self.metrics.get(selector.name, ("", None))[0] == "counter"
        around = selector.inside[-1] if selector.inside else ""
        if counter and around not in {"rate", "increase"}:
            self.say(page, what, f"the counter {selector.name} stands outside of rate and increase")
        if not counter and around in {"rate", "increase", "irate"}:
            self.say(page, what, f"{selector.name} is no counter")
        known = SUBQUERIES if selector.name == "ALERTS" else DYNAMIC
        if selector.window and selector.window not in known:
            self.say(page, what, f"a fixed window: {selector.name}[{selector.window}]")

    def zero(self, page, panel, target, parsed):
        """Point 17: no alert is 0, no exporter is nothing."""
        counts = re.match(r"(sum|count)\(", target["expr"]) and any(selector.name == "ALERTS" for selector in parsed.selectors)
        if panel["type"] != "stat" or not counts:
            return
        bound = re.search(r"or on \(\) 0 \* count\(banken_build_info\{", target["expr"])
        if not bound and not self.noted("waivers", page, panel["title"], query=target["refId"]):
            self.say(page, panel["title"], "without an alert it must be 0, and without Banken nothing")

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
