"""Shows that the proof bites: each of these mistakes, made in a copy, must be found."""

import copy
import pathlib
import re
import shutil
import tempfile

from .catalogue import panels


def _panel(page, title):
    return next(panel for _, panel in panels(page) if panel["title"] == title)


def _queries(page):
    return [(panel, target) for _, panel in panels(page) for target in panel["targets"]]


def _replace(pages, pattern, replacement):
    """In the first query that has it."""
    for page in pages.values():
        for _, target in _queries(page):
            changed = re.sub(pattern, replacement, target["expr"], count=1)
            if changed != target["expr"]:
                target["expr"] = changed
                return
    raise LookupError(f"no query has {pattern}: this bite says nothing any more")


def _set(name, change):
    def mistake(pages):
        change(pages[name])

    return mistake


def _each(change):
    def mistake(pages):
        for page in pages.values():
            change(page)

    return mistake


def _variable(page, name):
    return next(one for one in page["templating"]["list"] if one["name"] == name)


def _steps(page, title):
    """The first thresholds of a panel with a number in them."""
    config = _panel(page, title)["fieldConfig"]
    places = [config["defaults"].get("thresholds")]
    places += [one["value"] for override in config["overrides"] for one in override["properties"] if one["id"] == "thresholds"]
    return next(place["steps"] for place in places if place and len(place["steps"]) > 1)


FIRST = lambda page: next(panel for panel in page["panels"] if panel["type"] != "row")

# What is wrong, and how it is made wrong.
MISTAKES = {
    "a metric has another name": lambda pages: _replace(pages, "banken_probe_healthy", "banken_probe_sane"),
    "a recorded series has another name": lambda pages: _replace(pages, "banken:probe_availability_ratio:30d", "banken:probe_availability:30d"),
    "a label is not there": lambda pages: _replace(pages, r"banken_host_load\{", 'banken_host_load{probe=~"$probe",'),
    "a label of a recorded series is nowhere": lambda pages: _replace(pages, r"(banken:probe_latency_seconds:p95\{)", r'\1nothing="a",'),
    "a grouping by a label that is nowhere": lambda pages: _replace(pages, r"by \(phase\)", "by (stage)"),
    "a filter is missing": lambda pages: _replace(pages, r'instance=~"\$instance",', ""),
    "a variable that is not there": lambda pages: _replace(pages, r"\$instance", "$host"),
    "a counter without rate": lambda pages: _replace(pages, r"rate\((banken_probe_runs_total\{[^}]*\})\[[^]]*\]\)", r"\1"),
    "a rate of a gauge": lambda pages: _replace(pages, "process_cpu_seconds_total", "process_open_fds"),
    "a fixed window": lambda pages: _replace(pages, r"\[\$__rate_interval\]", "[5m]"),
    "a window of a day": lambda pages: _replace(pages, r"\[\$__range\]", "[7d]"),
    "a subquery of a week": lambda pages: _replace(pages, r"\)\[\$__range:1m\]", ")[7d:1m]"),
    "an offset of a day": lambda pages: _replace(pages, "offset 1m", "offset 1d"),
    "a threshold inside of a query": lambda pages: _replace(pages, "== 0", "> 0.8"),
    "a parenthesis is open": lambda pages: _replace(pages, r"^max\(", "max(("),
    "no alert and no exporter are both 0": lambda pages: _replace(pages, r"or on \(\) 0 \* count\(.*\)$", "or vector(0)"),
    "the id is not null": _set("host.json", lambda page: page.update(id=7)),
    "an old schema": _set("host.json", lambda page: page.update(schemaVersion=36)),
    "two dashboards with one uid": _set("host.json", lambda page: page.update(uid="banken-check")),
    "two dashboards with one title": lambda pages: pages["host.json"].update(title=pages["check.json"]["title"]),
    "a title that asks nothing": _set("host.json", lambda page: page.update(title="Host")),
    "no tag": _set("host.json", lambda page: page.update(tags=[])),
    "no description of the page": _set("host.json", lambda page: page.pop("description")),
    "a data source of its own": _set("host.json", lambda page: FIRST(page).update(datasource={"type": "prometheus", "uid": "abc"})),
    "no variable for the data source": _set("host.json", lambda page: page["templating"]["list"].pop(0)),
    "a variable that is not chained": _set("host.json", lambda page: _variable(page, "probe")["query"].update(
        query="label_values(banken_probe_interval_seconds, probe)")),
    "a variable that is not refreshed": _set("host.json", lambda page: _variable(page, "job").update(refresh=1)),
    "a variable without All": _set("host.json", lambda page: _variable(page, "group").update(includeAll=False)),
    "a variable with the values of another label": _set("host.json", lambda page: _variable(page, "group")["query"].update(
        query='label_values(banken_probe_interval_seconds{job=~"$job",instance=~"$instance"}, kind)')),
    "variables in another order": _set("host.json", lambda page: page["templating"]["list"].append(page["templating"]["list"].pop(1))),
    "too many panels at once": _set("exporter.json", lambda page: [
        page["panels"].append({**FIRST(page), "title": f"Copy {number}", "id": 900 + number, "gridPos": {"x": 0, "y": 900 + number, "w": 1, "h": 1}})
        for number in range(12)]),
    "two panels with one id": _set("host.json", lambda page: page["panels"][1].update(id=page["panels"][2]["id"])),
    "a panel without a query": _set("host.json", lambda page: FIRST(page)["targets"].clear()),
    "lines coloured by thresholds": _set("host.json", lambda page: _panel(page, "Volume of logs")["fieldConfig"]["defaults"].update(
        color={"mode": "thresholds"})),
    "Grafana's own thresholds": _set("host.json", lambda page: _panel(page, "Volume of logs")["fieldConfig"]["defaults"].pop("thresholds")),
    "a panel without description": _set("host.json", lambda page: FIRST(page).update(description="")),
    "two panels with one title": _set("host.json", lambda page: page["panels"][1].update(title=page["panels"][2]["title"])),
    "no unit": _set("host.json", lambda page: FIRST(page)["fieldConfig"]["defaults"].pop("unit")),
    "a ratio without its end": _set("host.json", lambda page: _panel(page, "CPU of the host")["fieldConfig"]["defaults"].pop("max")),
    "red from 80 on": _set("host.json", lambda page: FIRST(page)["fieldConfig"]["defaults"].update(
        thresholds={"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 80, "color": "red"}]})),
    "another number than the rules": _set("alerts.json", lambda page: _steps(page, "Worst availability, 30 days")[1].update(value=0.99)),
    "another number in a column": _set("databases.json", lambda page: _steps(page, "PostgreSQL now")[1].update(value=0.7)),
    "another colour for a severity": _set("databases.json", lambda page: _steps(page, "PostgreSQL now")[1].update(color="red")),
    "a colour of its own": _set("host.json", lambda page: FIRST(page)["fieldConfig"]["defaults"].update(
        color={"mode": "fixed", "fixedColor": "purple"})),
    "states without words": _set("overview.json", lambda page: _panel(page, "States of those that were down longest")["fieldConfig"]["defaults"].pop(
        "mappings")),
    "missing data look like nothing": _set("overview.json", lambda page: FIRST(page)["fieldConfig"]["defaults"].pop("noValue")),
    "onsets are not marked": _set("overview.json", lambda page: page["annotations"]["list"].clear()),
    "marks without a least step": _set("overview.json", lambda page: page["annotations"]["list"][0].update(step="1s")),
    "a link to nowhere": _set("overview.json", lambda page: _panel(page, "States of those that were down longest")["fieldConfig"]["defaults"]["links"][0]
                              .update(url="/d/banken-probe?var-job=a&var-instance=b&${__url_time_range}")),
    "a link that loses the range": _set("overview.json", lambda page: _panel(page, "Slowest now")["fieldConfig"]["defaults"]["links"][0]
                                        .update(url="/d/banken-check?var-job=a&var-instance=b")),
    "an alert whose page is gone": lambda pages: pages.pop("exporter.json"),
    "panels one over the other": _set("host.json", lambda page: page["panels"][2]["gridPos"].update(x=page["panels"][1]["gridPos"]["x"])),
    "a panel beyond the 24 columns": _set("host.json", lambda page: FIRST(page)["gridPos"].update(w=25)),
    "a row that is open": _set("host.json", lambda page: next(panel for panel in page["panels"] if panel["type"] == "row").update(collapsed=False)),
    "everybody may edit": _each(lambda page: page.update(editable=True)),
    "a refresh of a second": _set("host.json", lambda page: page.update(refresh="1s")),
    "no shared crosshair": _set("host.json", lambda page: page.update(graphTooltip=0)),
}


# What can be wrong with the files that provision Grafana: what is there, and what stands there instead.
UNPROVISIONED = {"changes in the browser": ("allowUiUpdates: false", "allowUiUpdates: true"), "a source that may be edited": ("editable: false", ""),
                 "no scrape interval": ("timeInterval: ", "interval: "), "a variable of the environment": ("url: ", "url: $HOST")}


def _provisioning(proof, folder, before):
    """Mistakes that are not found in a copy of the folder."""
    missed = []
    for name, (old, new) in UNPROVISIONED.items():
        with tempfile.TemporaryDirectory() as copied:
            copied = pathlib.Path(shutil.copytree(folder, copied, dirs_exist_ok=True))
            for path in copied.glob("*/*.yml"):
                path.write_text(path.read_text().replace(old, new))
            if not set(proof.static(provisioning=copied)) - before:
                missed.append(name)
    return missed


def static(proof, provisioning=None):
    missed, before = [], set(proof.static())
    for name, mistake in MISTAKES.items():
        pages = copy.deepcopy(proof.pages)
        mistake(pages)
        if not set(proof.static(pages=pages)) - before:
            missed.append(name)
    with tempfile.TemporaryDirectory() as nothing:
        if not set(proof.static(runbooks=pathlib.Path(nothing))) - before:
            missed.append("a runbook is not there")
    silent = copy.copy(proof.rules)
    silent.alerts = []
    if not set(proof.static(rules=silent)) - before:
        missed.append("alerts without links")
    if provisioning:
        missed += _provisioning(proof, provisioning, before)
    tried = len(MISTAKES) + 2 + (len(UNPROVISIONED) if provisioning else 0)
    print(f"bites of the static proof: {tried - len(missed)} of {tried} mistakes are found")
    for name in missed:
        print(f"  not found: {name}")
    return not missed


def live(proof, url, empty):
    """`empty` is a Prometheus that has nothing."""
    def changed(change):
        pages = {"exporter.json": copy.deepcopy(proof.pages["exporter.json"])}
        change(pages["exporter.json"], _panel(pages["exporter.json"], "Memory of Banken"))
        return pages

    def query(**parts):
        return changed(lambda _, panel: panel["targets"][0].update(parts))

    # What is made wrong, and what the proof must say of it.
    mistakes = {
        "a metric has another name": (query(expr='process_memory_bytes{job=~"$job"}'), "no data"),
        "a query that is none": (query(expr='max by (instance) (up{job=~"$job"}'), "error"),
        "a value that is no number": (query(expr='up{job=~"$job"} * 0 / 0'), "not a number"),
        "more than 50 lines": (query(expr='banken_probe_failures_total{job=~"$job"}'), "series"),
        "a legend names a label that is not there": (query(legendFormat="{{host}}"), "no series has the label"),
        "two lines with one name": (query(legendFormat="memory"), "several lines have the name"),
        "a share above 1": (changed(lambda _, panel: panel["fieldConfig"]["defaults"].update(unit="percentunit")), "a share of"),
        "a variable without values": (changed(lambda page, _: _variable(page, "group")["query"].update(
            query="label_values(banken_nothing, group)")), "there is no value"),
        "marks that mark nothing": (changed(lambda page, _: page["annotations"]["list"][0].update(
            expr='ALERTS{alertname="BankenNothing"}')), "no alert began to fire"),
    }
    missed = [name for name, (pages, words) in mistakes.items() if not any(words in fault for fault in proof.live(url, pages)[1])]
    notes = copy.deepcopy(proof.notes)
    notes["waivers"].append({"dashboard": "banken-host", "panel": "Disks", "query": "A", "reason": "none"})
    recorded = {name: {"job", "instance"} for name in proof.rules.recorded}
    if not set(proof.static(recorded=recorded, notes=notes)) - set(proof.static(recorded=recorded)):
        missed.append("a waiver that nobody needs")
    silent, faults = proof.live(empty)
    queries = sum(len(panel["targets"]) for page in proof.pages.values() for _, panel in panels(page))
    without = len({fault.split(": no data")[0] for fault in faults if ": no data" in fault})
    # A constant answers an empty Prometheus too: the default of the watchdog.
    expected = queries - sum(len(places) for places in silent.left_out.values()) - 1
    if without < expected:
        missed.append(f"an empty Prometheus: only {without} of {expected} queries have no data")
    print(f"bites of the live proof: {len(mistakes) + 2 - len(missed)} of {len(mistakes) + 2} mistakes are found;"
          f" an empty Prometheus answers {queries - without - sum(len(places) for places in silent.left_out.values())} of {queries} queries")
    for name in missed:
        print(f"  not found: {name}")
    return not missed
