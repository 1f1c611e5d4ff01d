"""The points that each panel has to keep."""

import re

from . import promql

PALETTE = {"green", "yellow", "orange", "red", "blue", "#8e8e8e"}
SEVERITY_COLOUR = {"info": "yellow", "warning": "orange", "critical": "red"}
DYNAMIC = {"$__rate_interval", "$__range"}
SUBQUERIES = {"$__range:1m", "$__interval:1m"}


class Panels:
    """A part of Static: what it says of panels and their queries. Points 6, 10 to 17, 19."""

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
