"""As much of PromQL as is needed to see which series an expression asks for, and how."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
      |(?P<number>(?:\d+(?:ms|[smhdwy]))+|\d*\.?\d+(?:[eE][+-]?\d+)?)
      |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      |(?P<variable>\$\{[^}]*\}|\$\w+)
      |(?P<symbol>==|!=|=~|!~|>=|<=|[-+*/%^(){}\[\],=<>@:]))""",
    re.VERBOSE,
)
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = GROUPING | {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"}
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}


@dataclass
class Selector:
    name: str
    matchers: list = field(default_factory=list)
    window: str = ""
    # The functions and aggregations around it, the innermost last.
    inside: list = field(default_factory=list)


@dataclass
class Expression:
    selectors: list
    # Labels of by, without, on, ignoring, group_left, group_right.
    labels: set
    # Windows of subqueries and offsets.
    subqueries: list
    offsets: list
    # Numbers that something is compared with.
    compared: list


def tokens(text):
    at, found = 0, []
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError(f"not PromQL at {text[at:at + 30]!r}")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def _until(items, at, closing):
    """The tokens between here and the closing bracket, and the place behind it."""
    start = at
    while items[at][1] != closing:
        at += 1
    return items[start:at], at + 1


def _matchers(items):
    found = []
    for index in range(0, len(items), 4):
        (_, label), (_, operator), (_, value) = items[index:index + 3]
        found.append((label, operator, value[1:-1]))
    return found


def parse(text):
    items = tokens(text)
    result = Expression([], set(), [], [], [])
    stack, at = [], 0
    while at < len(items):
        kind, word = items[at]
        following = items[at + 1] if at + 1 < len(items) else ("", "")
        if kind == "name" and word in GROUPING and following[1] == "(":
            inner, at = _until(items, at + 2, ")")
            result.labels |= {label for kind, label in inner if kind == "name"}
            continue
        if kind == "name" and following[1] == "(":
            stack.append(word)
            at += 2
            continue
        if kind == "name" and word == "offset":
            result.offsets.append(following[1])
            at += 2
            continue
        if kind == "name" and following[1] in {"by", "without"}:
            # An aggregation with its labels in front: its parenthesis follows.
            at += 1
            continue
        if kind == "name" and word not in WORDS:
            selector, at = Selector(word, inside=[name for name in stack if name]), at + 1
            if at < len(items) and items[at][1] == "{":
                inner, at = _until(items, at + 1, "}")
                selector.matchers = _matchers(inner)
            if at < len(items) and items[at][1] == "[":
                inner, at = _until(items, at + 1, "]")
                selector.window = "".join(part for _, part in inner)
            result.selectors.append(selector)
            continue
        if word == "(":
            # An aggregation may name its labels before its parenthesis.
            stack.append(_aggregation(items, at))
        elif word == ")":
            stack.pop()
            if following[1] == "[":
                inner, at = _until(items, at + 2, "]")
                result.subqueries.append("".join(part for _, part in inner))
                continue
        elif word in COMPARISONS and following[0] == "number":
            result.compared.append(following[1])
        at += 1
    if stack:
        raise ValueError("a parenthesis is open")
    return result


def _aggregation(items, at):
    """`sum` in `sum by (a) (`, otherwise nothing."""
    if at and items[at - 1][1] == ")":
        depth, back = 1, at - 2
        while back >= 0 and depth:
            depth += {")": 1, "(": -1}.get(items[back][1], 0)
            back -= 1
        if back >= 1 and items[back][1] in {"by", "without"}:
            return items[back - 1][1]
    return ""
