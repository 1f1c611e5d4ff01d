#!/usr/bin/env python3
"""Draws docs/images/status-page*.png from a running `banken demo --watch`, with headless Chromium.

    cargo run --release -- demo --watch          # for an hour, so that there is something to see
    python3 docs/images/status_page.py [--page http://127.0.0.1:9810] [--control http://127.0.0.1:8083]

It takes the price out of the ticker, waits until the page says so, and puts it back afterwards.
"""
import argparse
import pathlib
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "benches"))

from browser import Browser  # noqa: E402


def switch(url, method):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, method=method), timeout=10).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", default="http://127.0.0.1:9810")
    parser.add_argument("--control", default="http://127.0.0.1:8083")
    options = parser.parse_args()
    switch(f"{options.control}/demo/missing_field", "PUT")
    try:
        for language, name, screen, scheme, path in [
            ("en", "status-page", (1200, 820), "light", "/"),
            ("en", "status-page-dark", (1200, 820), "dark", "/"),
            ("ja", "status-page-phone", (390, 844), "light", "/"),
            ("en", "probe-page", (1200, 900), "light", "/probes/ticker"),
        ]:
            browser = Browser(language)
            browser.open(options.page)
            browser.until("document.querySelector('#probe-ticker .badge').textContent.includes('✗')", patience=60)
            if path != "/":
                browser.open(options.page + path)
            browser.screen(*screen, scheme)
            time.sleep(0.5)
            browser.picture(HERE / f"{name}.png")
            browser.close()
    finally:
        switch(f"{options.control}/demo/missing_field", "DELETE")


if __name__ == "__main__":
    main()
