#!/usr/bin/env python3
"""Changes the alert rules in one place at a time and looks whether a test notices.

In a copy of alert-rules/ each number, comparison, set operation, sum and label matcher of an expression, each window and each
`for` is changed by itself. Then the promtool tests that can see the changed rule are run one by one, until one of them fails. A
change that no test notices has survived: either a test is missing, or the change means the same (the table EQUIVALENT says why).

    python3 tests/soak/rule_mutations.py [--file meta.yml] [--list]

Ends with status 1 if a change survived, 2 if the tests fail without any change. It takes some minutes on two cores, and needs
promtool and PyYAML (Debian's prometheus and python3-yaml).
"""

import argparse
import concurrent.futures
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Changes that mean the same, or that no test can tell: file, rule, change as it is printed (a pattern for the whole), reason.
EQUIVALENT = [
    ("meta.yml", "BankenWatchdog", r"`vector\(»1«\)` with \d", "it fires with any value"),
]

# What is read through a window up to this long keeps a value through a failed scrape. A longer window keeps it longer and
# changes nothing else, so only the shorter one is tried: without a scrape of its own it is empty.
KEPT_AT_MOST = 300
KEEPING = {"last_over_time", "max_over_time", "min_over_time", "avg_over_time"}
TOO_SHORT = "10s"

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
      | (?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w.]))
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_:][\w:]*)
      | (?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^<>=(){}\[\],:@])""",
    re.VERBOSE,
)
COMPARISONS = {">": [">=", "<"], "<": ["<=", ">"], ">=": [">", "<="], "<=": ["<", ">="], "==": ["!="], "!=": ["=="]}
MATCHERS = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
SET_OPERATIONS = {"and": ["unless", "or"], "or": ["and", "unless"], "unless": ["and", "or"]}
# A product of flags stays one if it is divided, so it becomes a sum.
SUMS = {"+": "-", "-": "+", "*": "+", "/": "*"}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


@dataclass
class Rule:
    """A rule as it stands in a file: where its expression and its `for` are, as offsets of the text."""

    name: str
    alert: bool
    start: int
    severity: str = ""
    expression: tuple = None
    wait: tuple = None


@dataclass
class Mutant:
    """One change: what stands between two offsets of a file becomes something else."""

    file: str
    rule: Rule
    start: int
    end: int
    new: str
    change: str
    line: int

    def applied(self, text):
        return text[:self.start] + self.new + text[self.end:]

    def __str__(self):
        severity = f" ({self.rule.severity})" if self.rule.severity else ""
        return f"{self.file}:{self.line}: {self.rule.name}{severity}: {self.change}"


def rules_of(text):
    """Reads the rules of a file line by line. The files are written by hand in one style, so this is enough."""
    rules, rule, block = [], None, None
    offset = 0
    for line in text.splitlines(keepends=True):
        indent = len(line) - len(line.lstrip())
        content = line.strip()
        if block is not None and content and indent <= block:
            block = None
        if block is not None:
            rule.expression = (rule.expression[0], offset + len(line))
        elif begun := re.match(r"\s*- (record|alert):\s*(\S+)", line):
            rule = Rule(begun[2], begun[1] == "alert", offset)
            rules.append(rule)
        elif re.match(r"\s*- name:", line):
            rule = None
        elif rule is not None and (found := re.match(r"\s*(expr|for|labels):\s*(.*?)\s*$", line)):
            key, value = found[1], found[2]
            begin = offset + found.start(2)
            if key == "expr" and value[:1] in "|>":
                block = indent
                rule.expression = (offset + len(line), offset + len(line))
            elif key == "expr":
                quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
                rule.expression = (begin + quoted, begin + len(value) - quoted)
            elif key == "for":
                rule.wait = (begin, begin + len(value.split("#")[0].strip()))
            elif severity := re.search(r"severity:\s*(\w+)", value):
                rule.severity = severity[1]
        elif rule is not None and (severity := re.match(r"\s*severity:\s*(\w+)", line)):
            rule.severity = severity[1]
        offset += len(line)
    for rule in rules:
        if rule.expression is None:
            sys.exit(f"{rule.name} has no expression that this script can find")
    return rules


def seconds(duration):
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def duration(value):
    """Seconds as Prometheus writes them."""
    return f"{max(1, round(value))}s"


def numbers_near(text):
    """A tenth more and a tenth less, and at least 1 for a whole number, so that a threshold is held to what is just beside it."""
    value = float(text)
    whole = value == int(value) and "." not in text
    step = max(1.0, round(value / 10)) if whole else value / 10
    return [f"{value + step:.10g}", f"{value - step:.10g}"] if value else ["1", "-1"]


def changes_of_expression(expression):
    """Each change of an expression: start, end, what stands there instead."""
    calls, inside, last, last_word = [], None, None, ""
    position = 0
    while position < len(expression):
        token = TOKEN.match(expression, position)
        if token is None:
            raise ValueError(f"what is this in an expression: {expression[position:position + 30]!r}")
        position = token.end()
        kind, text = token.lastgroup, token[0]
        if kind == "space":
            continue
        new = []
        if kind == "sign":
            if text == "(":
                calls.append(last_word if last == "word" else "")
            elif text == ")" and calls:
                calls.pop()
            elif text in "{[":
                inside = text
            elif text in "}]":
                inside = None
            elif inside == "{":
                # Everything but a family is no selector.
                new = [MATCHERS[text]] if text in MATCHERS and last_word != "__name__" else []
            elif text in COMPARISONS:
                new = COMPARISONS[text]
            elif text in SUMS and last in ("word", "number", "closing"):
                new = [SUMS[text]]
        elif kind == "duration":
            value = seconds(text)
            if inside == "[" and calls and calls[-1] in KEEPING and value <= KEPT_AT_MOST:
                new = [TOO_SHORT]
            else:
                new = [duration(value / 2), duration(value * 2)]
        elif kind == "number" and inside is None:
            new = numbers_near(text)
        elif kind == "word" and inside is None:
            new = SET_OPERATIONS.get(text, [])
        for replacement in new:
            yield token.start(), token.end(), replacement
        last = "closing" if text in (")", "}", "]") else kind
        last_word = text if kind == "word" else last_word


def mutants_of(file, text):
    for rule in rules_of(text):

        def mutant(start, end, new, change):
            return Mutant(file, rule, start, end, new, change, text.count("\n", 0, max(start, 0)) + 1)

        begin, end = rule.expression
        expression = text[begin:end]
        for start, stop, new in changes_of_expression(expression):
            yield mutant(begin + start, begin + stop, new, f"`{around(expression, start, stop)}` with {new}")
        if rule.wait:
            begin, end = rule.wait
            value = seconds(text[begin:end])
            step = max(15, round(value / 5 / 15) * 15)
            for new in (duration(value + step), duration(value - step)):
                yield mutant(begin, end, new, f"for: {text[begin:end]} becomes {new}")
        elif rule.alert:
            head = text.index("\n", rule.start)
            indent = " " * (len(text[rule.start:head]) - len(text[rule.start:head].lstrip()) + 2)
            yield mutant(head, head, f"\n{indent}for: 1m", "for: 1m is added")


def around(expression, start, stop):
    """What is changed, with the words beside it."""
    before = expression[:start].split("\n")[-1].lstrip()[-40:]
    after = expression[stop:].split("\n")[0][:30]
    return f"{before}»{expression[start:stop]}«{after}".strip()


def parsed(text):
    """What a file holds. Everything stays the text that it is: `0x50` is a row of samples, and no number."""
    return yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def with_numbers(test):
    """A test whose expected samples have numbers again."""
    for expression in test.get("promql_expr_test") or []:
        for sample in expression.get("exp_samples") or []:
            sample["value"] = float(sample["value"])
    return test


def name_of(rule):
    return rule.get("record") or rule["alert"]


@dataclass
class Case:
    """One test of a file, by itself: the rules that it can see, and itself as promtool reads it (JSON is YAML)."""

    file: str
    loads: list
    text: str
    needed: set


class Cases:
    """All tests, one by one, so that a change costs the test that notices it and not the whole file."""

    def __init__(self, rules):
        folder = os.path.join(rules, "tests")
        self.rules = {name: read(os.path.join(rules, name)) for name in os.listdir(rules) if name.endswith(".yml")}
        self.parsed = {name: parsed(text) for name, text in self.rules.items()}
        self.cases = []
        for file in sorted(name for name in os.listdir(folder) if name.endswith(".yml")):
            document = parsed(read(os.path.join(folder, file)))
            loads = [os.path.basename(path) for path in document["rule_files"]]
            for test in document["tests"]:
                alone = {**document, "rule_files": loads, "tests": [with_numbers(test)]}
                text = json.dumps(alone, ensure_ascii=False)
                self.cases.append(Case(file, loads, text, self.needed(loads, plain(test))))
        self.noticed = {}

    def needed(self, loads, test):
        """The names of the rules that a test can see. The others only cost time."""
        rules = [rule for name in loads for group in self.parsed[name]["groups"] for rule in group["rules"]]
        left = {name: set() for name in map(name_of, rules)}
        for rule in rules:
            left[name_of(rule)] |= words(plain(rule))
        seen = words(test)
        # Whoever looks at ALERTS without the name of one sees all alerts, and whoever asks by __name__ may see anything.
        if len(re.findall(r"ALERTS", test)) > len(re.findall(r"ALERTS\{alertname=[^~]", test)):
            seen |= {rule["alert"] for rule in rules if "alert" in rule}
        if "__name__" in test:
            seen |= left.keys()
        needed = set()
        while found := (left.keys() & seen) - needed:
            needed |= found
            seen |= set().union(*(left[name] for name in found))
        return needed

    def of(self, mutant):
        """Those that can see the rule: first what has noticed a change of it, then the file's own, then those that name it."""
        own = f"{mutant.file.removesuffix('.yml')}_test.yml"
        seeing = [case for case in self.cases if mutant.file in case.loads and mutant.rule.name in case.needed]
        last = self.noticed.get((mutant.file, mutant.rule.start))
        return sorted(seeing, key=lambda case: (case is not last, case.file != own, mutant.rule.name not in case.text, len(case.text)))

    def passes(self, case, mutant, folder):
        """Whether a test passes, with a change or without, and what it says."""
        for name in case.loads:
            changed = mutant and mutant.file == name
            rules = parsed(mutant.applied(self.rules[name])) if changed else self.parsed[name]
            groups = [
                {**group, "rules": [rule for rule in group["rules"] if name_of(rule) in case.needed]} for group in rules["groups"]
            ]
            write(os.path.join(folder, name), json.dumps({"groups": groups}, ensure_ascii=False))
        write(os.path.join(folder, "test.yml"), case.text)
        command = ["promtool", "test", "rules", os.path.join(folder, "test.yml")]
        try:
            # Collecting garbage seldom makes promtool a third faster.
            environment = {**os.environ, "GOGC": "400", "TMPDIR": folder}
            run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
        except subprocess.TimeoutExpired:
            return False, "timeout"
        said = run.stdout + run.stderr
        # What cannot be read is noticed by any test, which says nothing about the test.
        if "could not parse expression" in said or "yaml:" in said:
            raise RuntimeError(f"{mutant or case.file}: this cannot be read: {said}")
        return run.returncode == 0, said

    def survives(self, mutant, folder):
        for case in self.of(mutant):
            if not self.passes(case, mutant, folder)[0]:
                self.noticed[(mutant.file, mutant.rule.start)] = case
                return False
        return True


def plain(value):
    """All texts of a value, as they are: in JSON a new line would be a letter."""
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    return "\n".join(map(plain, value)) if isinstance(value, list) else str(value)


def words(text):
    return set(re.findall(r"[A-Za-z_:][\w:]*", text))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def why_equivalent(mutant):
    for file, rule, change, reason in EQUIVALENT:
        if (file, rule) == (mutant.file, mutant.rule.name) and re.fullmatch(change, mutant.change):
            return reason
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rules", default=os.path.join(ROOT, "alert-rules"), help="folder of the rules, with tests/ in it")
    parser.add_argument("--file", action="append", help="change this file only, by its name; may be given again")
    parser.add_argument("--jobs", type=int, default=2, help="how many tests run at once")
    parser.add_argument("--list", action="store_true", help="print the changes and try none")
    arguments = parser.parse_args()

    names = sorted(name for name in os.listdir(arguments.rules) if name.endswith(".yml"))
    chosen = arguments.file or names
    mutants = [mutant for name in chosen for mutant in mutants_of(name, read(os.path.join(arguments.rules, name)))]
    if arguments.list:
        print("\n".join(map(str, mutants)))
        return 0

    cases = Cases(arguments.rules)
    # promtool writes a small database for each test and waits for the disk, unless there is none.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="banken-mutations-", dir=memory) as scratch:
        free = queue.Queue()
        for number in range(max(1, arguments.jobs)):
            free.put(tempfile.mkdtemp(dir=scratch))

        def attempt(work, *what):
            folder = free.get()
            try:
                return work(*what, folder)
            finally:
                free.put(folder)

        excused, survivors = [], []
        with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
            # Twice, because a test that fails now and then would notice anything.
            used = [case for case in cases.cases if set(case.loads) & set(chosen)] * 2
            for case, (passed, said) in zip(used, pool.map(lambda case: attempt(cases.passes, case, None), used)):
                if not passed:
                    print(f"{case.file} fails without any change:\n{said}")
                    return 2
            survived = pool.map(lambda mutant: attempt(cases.survives, mutant), mutants)
            for done, (mutant, survived) in enumerate(zip(mutants, survived), 1):
                if survived and (reason := why_equivalent(mutant)):
                    excused.append(mutant)
                    print(f"equivalent: {mutant}: {reason}", flush=True)
                elif survived:
                    survivors.append(mutant)
                    print(f"survived: {mutant}", flush=True)
                if done % 100 == 0:
                    print(f"{done} of {len(mutants)}", file=sys.stderr, flush=True)

    killed = len(mutants) - len(excused) - len(survivors)
    print(f"{len(mutants)} mutants, {killed} killed, {len(survivors)} survived, {len(excused)} equivalent")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
