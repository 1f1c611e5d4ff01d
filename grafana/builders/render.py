"""From our plain values to Grafana's JSON, through Grafana's own typed builders."""

import json
import string

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, statetimeline, statushistory, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as m_common
from grafana_foundation_sdk.models import dashboard as m_dashboard
from grafana_foundation_sdk.models import heatmap as m_heatmap
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from . import looks

SOURCE = m_dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
KINDS = {"stat": stat, "timeseries": timeseries, "table": table, "state-timeline": statetimeline, "status-history": statushistory,
         "heatmap": heatmap, "bargauge": bargauge}
INSTANT = {"stat", "table", "bargauge"}
ONE_LINE = {"state-timeline", "status-history", "stat", "table", "heatmap", "bargauge"}


def value(identifier, content):
    return m_dashboard.DynamicConfigValue(id_val=identifier, value=content)


def steps(panel_steps):
    """Colours from a value on. Without any there is one neutral colour, never Grafana's red from 80 on."""
    chosen = panel_steps or [(None, looks.NEUTRAL)]
    one = lambda limit, colour: m_dashboard.Threshold(value=None if limit is None else float(limit), color=colour)
    return dashboard.ThresholdsConfig().mode(m_dashboard.ThresholdsMode.ABSOLUTE).steps([one(*step) for step in chosen])


def mappings(name):
    if name in looks.RANGES:
        result = []
        for index, (low, high, text, colour) in enumerate(looks.RANGES[name]):
            words = m_dashboard.ValueMappingResult(text=text or None, color=colour, index=index)
            options = m_dashboard.DashboardRangeMapOptions(from_val=low, to=high, result=words)
            result.append(m_dashboard.RangeMap(options=options))
        return result
    words = {str(number): m_dashboard.ValueMappingResult(text=text, color=colour, index=index)
             for index, (number, (text, colour)) in enumerate(looks.MAPPINGS[name].items())}
    return [m_dashboard.ValueMap(options=words)]


def query(panel, one, ref):
    target = prometheus.Dataquery().expr(one.expr).ref_id(ref).datasource(SOURCE)
    target = target.instant() if panel.kind in INSTANT else target.range()
    if panel.kind == "table":
        return target.format(PromQueryFormat.TABLE)
    if panel.kind == "heatmap":
        return target.format(PromQueryFormat.HEATMAP).legend_format(one.legend)
    return target.legend_format(one.legend or "__auto")


def page_link(uid, where, label="probe"):
    """To another page with the same range of time; `where` says how the place names a label."""
    if where == "row":
        chosen = f"var-job=${{__data.fields.job}}&var-instance=${{__data.fields.instance}}&var-{label}=${{__data.fields.{label}}}"
    else:
        chosen = f"${{job:queryparam}}&${{instance:queryparam}}&var-{label}=${{__field.labels.{label}}}"
    return f"/d/{uid}?{chosen}&${{__url_time_range}}"


def columns(builder, panel):
    """A table shows the columns that are named, in their order, and hides the rest: links need them."""
    order = {name: index for index, name in enumerate(panel.columns)}
    builder.with_transformation(m_dashboard.DataTransformerConfig(id_val="merge", options={}))
    builder.with_transformation(m_dashboard.DataTransformerConfig(id_val="organize", options={"indexByName": order}))
    builder.with_override(m_dashboard.MatcherConfig(id_val="byRegexp", options=f"/^(?!({'|'.join(panel.columns)})$).*/"),
                          [value("custom.hidden", True)])
    for name, column in panel.columns.items():
        properties = [value("displayName", column.title)]
        if column.unit:
            properties.append(value("unit", column.unit))
        if column.decimals is not None:
            properties.append(value("decimals", column.decimals))
        if column.unit == "percentunit":
            properties += [value("min", 0), value("max", column.maximum)]
        if column.mapping:
            properties += [value("mappings", mappings(column.mapping)), value("custom.cellOptions", {"type": "color-text"})]
        if column.steps:
            properties.append(value("thresholds", steps(column.steps).build()))
        if column.gauge:
            properties.append(value("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}))
        elif column.steps:
            properties.append(value("custom.cellOptions", {"type": "color-text"}))
        if column.width:
            properties.append(value("custom.width", column.width))
        if column.link:
            properties.append(value("links", [{"title": f"Open {column.link}", "url": page_link(column.link, "row", name)}]))
        builder.override_by_name(name, properties)
    if panel.sort:
        by, descending = panel.sort
        title = panel.columns[by].title
        builder.sort_by([common.TableSortByFieldState().display_name(title).desc(descending)])


def line_style(builder, panel):
    """Lines as they always are; thresholds dashed and in the colour of their severity."""
    builder.line_width(1).fill_opacity(60 if panel.bars else 25 if panel.stacked else 6).show_points(m_common.VisibilityMode.NEVER)
    builder.span_nulls(False)
    if panel.bars:
        builder.draw_style(m_common.GraphDrawStyle.BARS)
    if panel.stacked:
        builder.stacking(common.StackingConfig().group("A").mode(m_common.StackingMode.NORMAL))
    legend = common.VizLegendOptions().show_legend(True).placement(m_common.LegendPlacement.BOTTOM)
    if panel.legend_table:
        legend = legend.display_mode(m_common.LegendDisplayMode.TABLE).calcs(["lastNotNull", "max"])
    else:
        legend = legend.display_mode(m_common.LegendDisplayMode.LIST)
    builder.legend(legend)
    builder.tooltip(common.VizTooltipOptions().mode(m_common.TooltipDisplayMode.MULTI).sort(m_common.SortOrder.DESCENDING))
    fixed = lambda colour: value("color", {"mode": "fixed", "fixedColor": colour})
    dashed = [value("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}), value("custom.lineWidth", 2), value("custom.fillOpacity", 0),
              value("custom.stacking", {"mode": "none", "group": "A"})]
    named = " ".join(one.legend for one in panel.queries)
    if "{{severity}} threshold" in named:
        for severity, colour in looks.SEVERITY.items():
            builder.override_by_regexp(f"/^{severity} threshold/", [fixed(colour), *dashed])
    if "{{bound}}" in named:
        builder.override_by_regexp("/^(min|max)$/", [fixed(looks.WARNING), *dashed])
    if "objective" in named:
        builder.override_by_name("objective", [fixed(looks.FINE), *dashed])
    if any(one.legend == "{{severity}}" for one in panel.queries):
        for severity, colour in looks.SEVERITY.items():
            builder.override_by_name(severity, [fixed(colour)])
    if any(one.legend == "{{severity}} lines" for one in panel.queries):
        for severity, colour in looks.LINES.items():
            builder.override_by_name(f"{severity} lines", [fixed(colour)])


def look(builder, panel):
    kind = panel.kind
    if kind == "timeseries":
        line_style(builder, panel)
    elif kind == "stat":
        coloured = panel.steps or panel.mapping
        builder.graph_mode(m_common.BigValueGraphMode.NONE).text_mode(m_common.BigValueTextMode.AUTO)
        builder.color_mode(m_common.BigValueColorMode.BACKGROUND if coloured else m_common.BigValueColorMode.VALUE)
        builder.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    elif kind == "state-timeline":
        builder.merge_values(True).show_value(m_common.VisibilityMode.AUTO).row_height(0.85).line_width(0).fill_opacity(75)
        builder.legend(common.VizLegendOptions().show_legend(True).placement(m_common.LegendPlacement.BOTTOM)
                       .display_mode(m_common.LegendDisplayMode.LIST))
    elif kind == "status-history":
        builder.show_value(m_common.VisibilityMode.AUTO).row_height(0.85).col_width(0.9).line_width(0).fill_opacity(75)
        builder.max_data_points(60)
    elif kind == "heatmap":
        builder.calculate(False).y_axis(heatmap.YAxisConfig().unit(panel.unit).decimals(1)).cell_gap(1)
        builder.color(heatmap.HeatmapColorOptions().mode(m_heatmap.HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
        builder.max_data_points(120)
    elif kind == "bargauge":
        builder.orientation(m_common.VizOrientation.HORIZONTAL).display_mode(m_common.BarGaugeDisplayMode.BASIC)
        builder.value_mode(m_common.BarGaugeValueMode.TEXT).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def panel_builder(panel, identifier, x, y):
    builder = KINDS[panel.kind].Panel().id(identifier).title(panel.title).description(panel.description).datasource(SOURCE)
    builder.grid_pos(m_dashboard.GridPos(x=x, y=y, w=panel.w, h=panel.h)).unit(panel.unit).thresholds(steps(panel.steps))
    for ref, one in zip(string.ascii_uppercase, panel.queries):
        builder.with_target(query(panel, one, ref))
    if panel.decimals is not None:
        builder.decimals(panel.decimals)
    if panel.unit == "percentunit":
        builder.min(0).max(panel.maximum)
    elif panel.kind == "timeseries" and not any(one.expr.startswith("-") for one in panel.queries) and panel.unit != "short":
        builder.axis_soft_min(0)
    if panel.mapping:
        builder.mappings(mappings(panel.mapping))
    if panel.no_value:
        builder.no_value(panel.no_value)
    if panel.interval:
        builder.interval(panel.interval)
    by_steps = panel.kind in {"stat", "state-timeline", "status-history", "bargauge"}
    mode = m_dashboard.FieldColorModeId.THRESHOLDS if by_steps else m_dashboard.FieldColorModeId.PALETTE_CLASSIC
    if panel.kind in ("timeseries", *("stat", "state-timeline", "status-history", "bargauge")):
        builder.color_scheme(dashboard.FieldColor().mode(mode))
    look(builder, panel)
    if panel.links:
        builder.data_links([dashboard.DashboardLink(words).url(page_link(uid, "line")) for uid, words in panel.links.items()])
    if panel.kind == "table":
        columns(builder, panel)
    return builder


class Flow:
    """Places panels from left to right, and a new line below the highest of the line before."""

    def __init__(self, y=0):
        self.x, self.y, self.height = 0, y, 0

    def place(self, panel):
        if self.x + panel.w > 24:
            self.line()
        at = (self.x, self.y)
        self.x += panel.w
        self.height = max(self.height, panel.h)
        return at

    def line(self):
        self.x, self.y, self.height = 0, self.y + self.height, 0


def variable(one):
    builder = dashboard.QueryVariable(one.name).label(one.label).description(one.description).datasource(SOURCE)
    builder.query({"qryType": 1, "query": one.query, "refId": f"variable-{one.name}"}).multi(one.multi).include_all(one.include_all)
    builder.refresh(m_dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(m_dashboard.VariableSort.ALPHABETICAL_ASC)
    if one.include_all:
        builder.current(m_dashboard.VariableOption(text="All", value="$__all", selected=True))
    return builder.all_value(one.all_value) if one.all_value else builder


def dashboard_json(page):
    builder = dashboard.Dashboard(page.title).uid(page.uid).description(page.description).tags(["banken"]).readonly()
    builder.tooltip(m_dashboard.DashboardCursorSync.CROSSHAIR).time(page.span, "now").refresh(page.refresh).timezone("browser")
    builder.link(dashboard.DashboardLink("Banken").type(m_dashboard.DashboardLinkType.DASHBOARDS).tags(["banken"]).as_dropdown(False)
                 .include_vars(True).keep_time(True))
    builder.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for one in page.variables:
        builder.with_variable(variable(one))
    flow, identifier = Flow(), 0
    for panel in page.panels:
        identifier += 1
        builder.with_panel(panel_builder(panel, identifier, *flow.place(panel)))
    flow.line()
    for row in page.rows:
        identifier += 1
        place = m_dashboard.GridPos(x=0, y=flow.y, w=24, h=1)
        group = dashboard.Row(row.title).id(identifier).collapsed(True).grid_pos(place)
        inside = Flow(flow.y + 1)
        for panel in row.panels:
            identifier += 1
            group.with_panel(panel_builder(panel, identifier, *inside.place(panel)))
        builder.with_row(group)
        flow.y += 1
    expression = f'ALERTS{{alertstate="firing",{page.annotation}}} unless ALERTS{{alertstate="firing",{page.annotation}}} offset 1m'
    builder.annotation(dashboard.AnnotationQuery().name("Alerts that begin").datasource(SOURCE).enable(True).icon_color(looks.CRITICAL)
                       .expr(expression))
    result = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    # What the builders do not know: an annotation's step and words.
    result["annotations"]["list"][0].update(step="60s", titleFormat="{{severity}}: {{alertname}}",
                                            textFormat="{{probe}}{{task}}{{log}}{{mount}}", tagKeys="severity")
    return {"id": None, **result}


def notes(page):
    """What the proof must know and Grafana's JSON has no place for."""
    found = {"waivers": [], "scenarios": [], "thresholds": []}
    for one in page.variables:
        if one.waiver:
            found["waivers"].append({"dashboard": page.uid, "variable": one.name, "reason": one.waiver})
    for panel in [*page.panels, *(panel for row in page.rows for panel in row.panels)]:
        place = {"dashboard": page.uid, "panel": panel.title}
        for ref, one in zip(string.ascii_uppercase, panel.queries):
            if one.waiver:
                found["waivers"].append({**place, "query": ref, "reason": one.waiver})
            if one.scenario != "healthy":
                found["scenarios"].append({**place, "query": ref, "scenario": one.scenario})
        if panel.threshold_series:
            found["thresholds"].append({**place, "series": panel.threshold_series})
        for name, column in panel.columns.items():
            if column.threshold_series:
                found["thresholds"].append({**place, "column": name, "series": column.threshold_series})
    return found
