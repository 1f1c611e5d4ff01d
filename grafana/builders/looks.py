"""One palette and one set of words, so that a colour and a state mean the same on every page."""

FINE, INFO, WARNING, CRITICAL, UNKNOWN, NEUTRAL = "green", "yellow", "orange", "red", "#8e8e8e", "blue"
SEVERITY = {"info": INFO, "warning": WARNING, "critical": CRITICAL}
# The severity of a pattern is that of its line, one step milder than an alert: an error alerts as a warning.
LINES = {"info": NEUTRAL, "warning": INFO, "error": WARNING, "critical": CRITICAL}

# Words for values: value → (words, colour). A colour never stands alone.
MAPPINGS = {
    "state": {0: ("UNKNOWN", UNKNOWN), 1: ("UP", FINE), 2: ("SUSPECT", INFO), 3: ("DOWN", CRITICAL)},
    "up": {0: ("DOWN", CRITICAL), 1: ("UP", FINE)},
    "ok": {0: ("FAILED", CRITICAL), 1: ("OK", FINE)},
    "valid": {0: ("WRONG", CRITICAL), 1: ("RIGHT", FINE)},
    "yes": {0: ("NO", NEUTRAL), 1: ("YES", NEUTRAL)},
    "verified": {0: ("NOT VERIFIED", CRITICAL), 1: ("VERIFIED", FINE)},
    "readable": {0: ("NOT READABLE", CRITICAL), 1: ("READABLE", FINE)},
    "late": {0: ("IN TIME", FINE), 1: ("LATE", CRITICAL)},
    "running": {0: ("DONE", FINE), 1: ("RUNNING", INFO)},
    "standby": {0: ("PRIMARY", NEUTRAL), 1: ("STANDBY", NEUTRAL)},
    "stuck": {0: ("ANSWERS", FINE), 1: ("STUCK", CRITICAL)},
    "firing": {1: ("FIRING", CRITICAL)},
    "watchdog": {0: ("SILENT", CRITICAL), 1: ("WORKS", FINE)},
    "severity": {3: ("CRITICAL", CRITICAL), 2: ("WARNING", WARNING), 1: ("INFO", INFO)},
    "severity_word": {severity: (severity.upper(), colour) for severity, colour in SEVERITY.items()},
}
# Words for ranges of values: (from, to, words or "" for the number itself, colour).
RANGES = {
    "status_code": [(100, 299, "", FINE), (300, 399, "", NEUTRAL), (400, 499, "", WARNING), (500, 599, "", CRITICAL)],
}
# A count of what should not be: none is fine, one is not. They are no thresholds of a measure.
ANY_IS = {severity: [(None, FINE), (1, colour)] for severity, colour in SEVERITY.items()}
