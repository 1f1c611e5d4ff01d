"""The points that only a Prometheus can tell: every variable, every query and every legend, against real series."""

import concurrent.futures
import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from . import promql
from .catalogue import panels
from .grafana import Times, regex, substitute

MOST_SERIES = 50
VARIABLE = re.compile(r"label_values\((.*), (\w+)\)")


class Refused(Exception):
    """Prometheus does not take a query."""


class Prometheus:
    def __init__(self, url, timeout=60):
        self.url, self.timeout = url.rstrip("/"), timeout

    def ask(self, path, **parameters):
        data = urllib.parse.urlencode(parameters, doseq=True).encode()
        # The values of a label are asked for by GET only.
        get = path.startswith("label/")
        request = urllib.request.Request(f"{self.url}/api/v1/{path}" + (f"?{data.decode()}" if get else ""), data=None if get else data)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise Refused(json.loads(error.read() or b"{}").get("error", str(error))) from error

    def recorded(self, names):
        """The labels of recorded series."""
        found = {}
        for name in sorted(names):
            labels = {label for series in self.ask("series", **{"match[]": name}) for label in series if label != "__name__"}
            if labels:
                found[name] = labels
        return found


class Answer:
    """One target with one choice of variables."""

    def __init__(self, series, kind):
        self.series, self.kind = series, kind

    def numbers(self):
        for one in self.series:
            for _, value in one.get("values") or [one["value"]]:
                yield float(value)


class Live:
    def __init__(self, prometheus, pages, notes, scenarios, span=600, scrape=1):
        self.prometheus, self.pages, self.scenarios = prometheus, pages, set(scenarios)
        self.times, self.end = Times(span, scrape), time.time()
        self.start = self.end - span
        self.wanted_in = {(note["dashboard"], note["panel"], note["query"]): note["scenario"] for note in notes["scenarios"]}
        self.found, self.left_out, self.asked = [], {}, 0

    def say(self, page, what, words):
        entry = f"{page['uid']}: {what}: {words}"
        if entry not in self.found:
            self.found.append(entry)

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self.page, self.pages.values()))
        return sorted(self.found)

    # --- variables

    def values(self, page, chosen, strict=False):
        """The values that each variable can have, in the order of the chain, with what was chosen before."""
        found, current = {}, {}
        for one in (one for one in page["templating"]["list"] if one["type"] == "query"):
            match, label = VARIABLE.fullmatch(one["query"]["query"]).groups()
            selector = substitute(match, current)
            found[one["name"]] = sorted(self.prometheus.ask(f"label/{label}/values", **{"match[]": selector}, start=self.start, end=self.end))
            if strict and not found[one["name"]]:
                self.say(page, f"variable {one['name']}", f"there is no value with {selector}")
            current[one["name"]] = chosen(one, found[one["name"]])
        return found, current

    def choices(self, page):
        """All (or each, where there is no All), one value, several of them."""
        def everything(one, values):
            if one.get("includeAll"):
                return regex(values or None, one.get("allValue", "")) if not one.get("allValue") else one["allValue"]
            return regex(values[:1] or None)

        found, every = self.values(page, everything, strict=True)
        yield "All", every, True
        yield "one", self.values(page, lambda one, values: regex(values[:1] or None))[1], False
        yield "several", self.values(page, lambda one, values: regex(values[:2] or None))[1], False
        single = [one["name"] for one in page["templating"]["list"] if one["type"] == "query" and not one.get("includeAll")]
        for name in single:
            for value in found[name][1:]:
                yield f"{name} {value}", {**every, name: regex([value])}, True

    # --- targets

    def page(self, page):
        answered = {}
        for label, values, counts in self.choices(page):
            for _, panel in panels(page):
                for target in panel["targets"]:
                    answer = self.target(page, panel, target, values, label)
                    if answer and counts:
                        answered.setdefault((panel["title"], target["refId"]), []).append(answer)
                        self.judge(page, panel, target, answer, label)
        for _, panel in panels(page):
            for target in panel["targets"]:
                self.sum_up(page, panel, target, answered.get((panel["title"], target["refId"]), []))
        self.marks(page)

    def target(self, page, panel, target, values, label):
        what = f"{panel['title']} / {target['refId']} ({label})"
        try:
            expression = substitute(target["expr"], {**values, **self.times.builtin(panel)})
            # The shape of a query is the same for every probe.
            if label in {"All", "one", "several"}:
                self.prometheus.ask("format_query", query=expression)
            if "$" in re.sub(r'"(?:\\.|[^"\\])*"', "", expression):
                self.say(page, what, "a $ is left")
            self.asked += 1
            if target.get("range"):
                result = self.prometheus.ask("query_range", query=expression, start=self.start, end=self.end, step=self.times.step(panel))
            else:
                result = self.prometheus.ask("query", query=expression, time=self.end)
        except (Refused, ValueError) as error:
            self.say(page, what, str(error))
            return None
        if result["resultType"] == "scalar":
            self.say(page, what, "a scalar has no labels and no place in a table")
            return None
        return Answer(result["result"], panel["type"])

    def judge(self, page, panel, target, answer, label):
        """What must hold for every answer."""
        what = f"{panel['title']} / {target['refId']} ({label})"
        if len(answer.series) > MOST_SERIES:
            self.say(page, what, f"{len(answer.series)} series")
        numbers = list(answer.numbers())
        if any(math.isnan(number) or math.isinf(number) for number in numbers):
            self.say(page, what, "a value is not a number")
        if self.unit(panel, target) == "percentunit" and any(number < -1e-9 or number > 1 + 1e-9 for number in numbers):
            self.say(page, what, f"a share of {min(numbers):.3g} to {max(numbers):.3g}")
        if panel["type"] != "table" and panel["type"] != "heatmap":
            names = [json.dumps(sorted(series["metric"].items())) if not self.legend(target) else self.render(target, series["metric"])
                     for series in answer.series]
            twice = {name for name in names if names.count(name) > 1}
            if twice and len(names) > 1:
                self.say(page, what, f"several lines have the name {sorted(twice)[:3]}")

    def legend(self, target):
        legend = target.get("legendFormat") or ""
        return "" if legend == "__auto" else legend

    def render(self, target, labels):
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), self.legend(target))

    def unit(self, panel, target):
        for override in panel["fieldConfig"].get("overrides", []):
            if override["matcher"]["options"] in (f"Value #{target['refId']}", "Value"):
                units = [one["value"] for one in override["properties"] if one["id"] == "unit"]
                return units[0] if units else None
        return panel["fieldConfig"]["defaults"].get("unit") if panel["type"] != "table" else None

    def sum_up(self, page, panel, target, answers):
        """Over all choices: there are data, and every label that is named exists."""
        title, ref = panel["title"], target["refId"]
        scenario = self.wanted_in.get((page["uid"], title, ref), "healthy")
        series = [one for answer in answers for one in answer.series]
        if not series:
            if scenario in self.scenarios:
                self.say(page, f"{title} / {ref}", f"no data, though the scenario {scenario} is here")
            else:
                self.left_out.setdefault(scenario, []).append(f"{page['uid']}: {title} / {ref}")
            return
        named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", self.legend(target)))
        links = json.dumps(panel["fieldConfig"])
        named |= set(re.findall(r"__field\.labels\.(\w+)", links))
        if panel["type"] == "table":
            names = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]
                     if override["matcher"]["id"] == "byName"}
            named |= {name for name in names if not name.startswith("Value")} | set(re.findall(r"__data\.fields\.(\w+)", links))
            alone = len(panel["targets"]) == 1
            if any(name.startswith("Value #") for name in names) == alone and any(name.startswith("Value") for name in names):
                self.say(page, title, "the columns of values have other names")
        shown = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", "".join(one.get("legendFormat") or "" for one in panel["targets"])))
        drawn = "threshold" in self.legend(target) or self.legend(target) == "objective"
        for label in sorted(named):
            if drawn and label not in shown:
                continue
            if drawn and label not in self.legend(target):
                continue
            if not any(label in one["metric"] for one in series):
                # Alerts carry what they are about: a job has no probe. One of them would be enough.
                if not any(selector.name.startswith("ALERTS") for selector in promql.parse(target["expr"]).selectors):
                    self.say(page, f"{title} / {ref}", f"no series has the label {label}")

    def marks(self, page):
        """Onsets of alerts: the query is taken, and finds what began to fire."""
        _, values = self.values(page, lambda one, values: one["allValue"] if one.get("allValue") else regex(values or None))
        for one in page["annotations"]["list"]:
            expression = substitute(one["expr"], {**values, **self.times.builtin({})})
            self.prometheus.ask("format_query", query=expression)
            found = self.prometheus.ask("query_range", query=expression, start=self.start, end=self.end, step=60)["result"]
            if not found and "broken" in self.scenarios:
                self.say(page, "annotation", "no alert began to fire")
