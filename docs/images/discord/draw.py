#!/usr/bin/env python3
"""Draws docs/images/discord-message.png from message.json, with headless Chromium and a page without an external request.

    BANKEN_BLESS=1 cargo test --test system alerting::picture   # the payload, through the real Prometheus and Alertmanager
    python3 docs/images/discord/draw.py                         # the picture

It is no screenshot of Discord: the embed is drawn here, and the picture says so.
"""
import html
import json
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent.parent / "benches"))

from browser import Browser  # noqa: E402


# Not every machine has a font with colours.
SIREN = ('<svg class=siren viewBox="0 0 20 20"><path fill="#e0343f" d="M4 16V9a6 6 0 0 1 12 0v7z"/><path fill="#ff8a8f" d="M7 9a3 3 0 0 1 3-3v2'
         'a1 1 0 0 0-1 1v5H7z"/><rect x="2" y="15.5" width="16" height="3.5" rx="1" fill="#8a93a0"/></svg>')


def marked_up(text):
    """The little of Discord's Markdown that the templates use."""
    text = html.escape(text, quote=False).replace("🚨", SIREN)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="#">\1</a>', text)
    text = re.sub(r"&lt;t:\d+:R&gt;", "<span class=time>a minute ago</span>", text)
    return text.replace("\n", "<br>")


def main():
    payload = json.loads((HERE / "message.json").read_text())
    embed = payload["embeds"][0]
    page = (HERE / "message.html").read_text()
    parts = {
        "NAME": html.escape(payload.get("username") or "Banken"),
        "COLOUR": f"#{embed.get('color', 0):06x}",
        "TITLE": marked_up(embed["title"]),
        "TEXT": marked_up(embed["description"]),
        "CONTENT": marked_up(payload.get("content") or ""),
        "ICON": (HERE.parent.parent.parent / "src/web/assets/icon.svg").read_text(),
    }
    for mark, part in parts.items():
        page = page.replace(f"@{mark}@", part)
    to = HERE.parent / "discord-message.png"
    browser = Browser()
    with tempfile.NamedTemporaryFile(suffix=".html") as file:
        pathlib.Path(file.name).write_text(page)
        browser.open(f"file://{file.name}")
        browser.screen(760, 100, scale=1.5)
        browser.screen(760, int(browser.evaluate("document.body.scrollHeight")), scale=1.5)
        browser.picture(to)
    browser.close()
    print(f"{to}: {to.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
