"""The pieces that the dashboards share: selectors, variables, panels."""

from .model import Column, Panel, Query, Row, Variable

# What every selector begins with. Families of a process or of PostgreSQL have no label group: `probe` is narrowed by it anyway.
BASE = 'job=~"$job",instance=~"$instance"'
PROBE = f'{BASE},probe=~"$probe"'
GROUP = f'{BASE},group=~"$group"'
ALL = f'{BASE},group=~"$group",probe=~"$probe"'
# Alerts lack the labels that their series lack: behind the bar stands "or no such label".
ALERT_BASE = 'job=~"$job|",instance=~"$instance|"'
ALERT = f'{ALERT_BASE},group=~"$group|",probe=~"$probe|",alertname!="BankenWatchdog"'
ALERT_ANY_PROBE = f'{ALERT_BASE},alertname!="BankenWatchdog"'
ON = "on (job, instance, probe)"


def sel(family, more="", labels=ALL):
    """A family with the filters of the dashboard."""
    return f"{family}{{{labels}{',' if more else ''}{more}}}"


def variables(family="banken_probe_interval_seconds", more="", probe=None):
    """job → instance → group → probe, each narrowed by those before. `family` decides which probes there are to choose from."""
    tail = f",{more}" if more else ""
    probe = probe or {}
    return [
        Variable("job", "Job", "label_values(banken_build_info, job)", "Prometheus's name for the scrape job of Banken."),
        Variable("instance", "Instance", 'label_values(banken_build_info{job=~"$job"}, instance)', "One Banken: its address."),
        Variable("group", "Group", f"label_values({family}{{{BASE}{tail}}}, group)",
                 "Groups of probes as banken.yml sets them. All has those without a group too.", all_value=".*"),
        Variable("probe", "Probe", f"label_values({family}{{{GROUP}{tail}}}, probe)", "Probes of the groups that are chosen.", **probe),
    ]


def more_variable(name, label, family, description, labels=GROUP):
    return Variable(name, label, f"label_values({family}{{{labels}}}, {name})", description)


# Where several Bankens may watch something of the same name.
NAME = "{{probe}} ({{instance}})"


def at_the_end(family, by, aggregate="max", labels=ALL):
    """A series at the end of the range, to choose the same lines over the whole range by it."""
    return f"{aggregate} by ({by}) ({sel(family, labels=labels)} @ end())"


def state(labels=ALL, by="job, instance, probe"):
    """The state of a probe as a number: 0 unknown, 1 up, 2 suspect, 3 down."""
    one = lambda name: f'sum by ({by}) ({sel("banken_probe_state", f"state={chr(34)}{name}{chr(34)}", labels)})'
    return f'{one("healthy")}\n  + 2 * {one("suspect")}\n  + 3 * {one("unhealthy")}'


def thresholds(series, labels, more=""):
    """The recorded thresholds as lines: the lowest of each severity where several targets are on one picture."""
    return Query(f"min by (severity) ({sel(series, more, labels)})", "{{severity}} threshold")


UNFILTERED = "The default threshold is one number for everything: its series has no label to filter by."


def default_thresholds(series, more=""):
    return Query(f"min by (severity) ({series}{{{more}}})" if more else f"min by (severity) ({series})", "{{severity}} threshold",
                 waiver=UNFILTERED)


def rate(family, more="", labels=ALL):
    return f"rate({sel(family, more, labels)}[$__rate_interval])"


def increase(family, more="", labels=ALL, window="$__rate_interval"):
    return f"increase({sel(family, more, labels)}[{window}])"


def _panel(kind):
    def make(title, description, queries, unit, w, h=8, **more):
        queries = [Query(query) if isinstance(query, str) else query for query in (queries if isinstance(queries, list) else [queries])]
        return Panel(title, description, kind, queries, unit, w, h, **more)

    return make


stat, lines, table, timeline, history, heatmap, gauges = map(
    _panel, ("stat", "timeseries", "table", "state-timeline", "status-history", "heatmap", "bargauge")
)

__all__ = [name for name in dir() if not name.startswith("_")]
