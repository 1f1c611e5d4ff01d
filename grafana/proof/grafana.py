"""What Grafana does with a query before it sends it: variables, and the length of a step."""

import re

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text):
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match:
        raise ValueError(f"not a duration: {text!r}")
    return int(match[1]) * UNITS[match[2]]


def nice(value):
    """The next of the steps that Grafana rounds up to."""
    steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
    return next((step for step in steps if step >= value), 86400)


def escaped(value):
    """As the data source for Prometheus does it; the backslashes are doubled because the value stands in quotes."""
    return re.sub(r"([$^*{}\[\]'+?.()|])", r"\\\\\1", value.replace("\\", "\\\\\\\\"))


def regex(value, all_value=""):
    """How a value of a variable with several of them stands in a query of Prometheus: `value` is text, a list, or None for All."""
    if value is None:
        return all_value
    if isinstance(value, str):
        return escaped(value)
    return escaped(value[0]) if len(value) == 1 else f"({'|'.join(escaped(one) for one in value)})"


class Times:
    def __init__(self, span, scrape, points=150):
        self.span, self.scrape, self.points = span, scrape, points

    def step(self, panel, least=None):
        points = panel.get("maxDataPoints") or self.points
        least = seconds(panel["interval"]) if panel.get("interval") else self.scrape
        return max(nice(self.span / points), least)

    def builtin(self, panel):
        step = self.step(panel)
        rate = max(step + self.scrape, 4 * self.scrape)
        return {"__interval": f"{step}s", "__rate_interval": f"{rate}s", "__range": f"{self.span}s",
                "__range_s": str(self.span), "__interval_ms": str(step * 1000)}


def substitute(expression, values):
    """`$v`, `${v}` and `${v:regex}`; a name that is not known is an error, as it would be sent to Prometheus as it stands."""
    def one(match):
        name = (match[1] or match[2]).split(":")[0]
        if name not in values:
            raise ValueError(f"there is no variable ${name}")
        return values[name]

    return re.sub(r"\$\{([^}]+)\}|\$(\w+)", one, expression)
