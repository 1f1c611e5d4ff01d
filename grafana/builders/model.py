"""What a dashboard is made of, before Grafana's builders see it: plain values that are easy to write and to check."""

from dataclasses import dataclass, field


@dataclass
class Query:
    """A query of a panel.

    `legend` names the lines; without one the panel takes the labels. `scenario` says where the query has an answer: everywhere
    (`healthy`), or only where something that the stage of the proof does not have is there. `waiver` says why a selector does not
    filter by the variables of the dashboard.
    """

    expr: str
    legend: str = ""
    scenario: str = "healthy"
    waiver: str = ""


@dataclass
class Panel:
    title: str
    description: str
    kind: str
    queries: list
    unit: str
    w: int
    h: int = 8
    decimals: int | None = None
    maximum: float | None = None
    # Values that have words: a key of looks.MAPPINGS.
    mapping: str = ""
    # Colours from a value on: a list of (value or None, colour); `threshold_series` is the recorded series that has these numbers.
    steps: list = field(default_factory=list)
    threshold_series: str = ""
    no_value: str = ""
    # Table: the columns in their order, label or refId → Column.
    columns: dict = field(default_factory=dict)
    sort: tuple = ()
    # Where a click on a value leads: uid → words of the link.
    links: dict = field(default_factory=dict)
    stacked: bool = False
    bars: bool = False
    interval: str = ""
    legend_table: bool = False


@dataclass
class Column:
    title: str
    unit: str = ""
    mapping: str = ""
    gauge: bool = False
    width: int | None = None
    maximum: float | None = None
    steps: list = field(default_factory=list)
    threshold_series: str = ""
    link: str = ""
    decimals: int | None = None


@dataclass
class Row:
    title: str
    panels: list


@dataclass
class Variable:
    name: str
    label: str
    query: str
    description: str
    # What All stands for; without it, for all values that were found.
    all_value: str = ""
    include_all: bool = True
    multi: bool = True
    # Why there is no All.
    waiver: str = ""


@dataclass
class Dashboard:
    uid: str
    title: str
    description: str
    variables: list
    panels: list
    rows: list
    # The selector of alerts that are marked, without alertstate.
    annotation: str
    refresh: str = "30s"
    span: str = "now-6h"
