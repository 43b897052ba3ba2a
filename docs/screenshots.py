"""Makes the pictures of README from the demo's project: `make screenshots`. Needs Chromium, and a folder that `tilth demo --keep` filled.

python docs/screenshots.py FOLDER
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
PAGES = {
    "overview": "/",
    "model": "/models/late",
    "endpoint": "/endpoints/late_api",
    "sql": "/query?sql=SELECT+carrier,+count(*)+AS+flights,+avg(arr_delay)+AS+delay+FROM+departures+GROUP+BY+carrier+ORDER+BY+flights+DESC",
}
WIDTH, HEIGHT = 1120, 760


def main(folder: str) -> int:
    """Write a picture of each page; 1 where there is no Chromium."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("Chromium is not installed.", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    line = [
        sys.executable,
        "-m",
        "tilth",
        "up",
        "--project",
        folder,
        "--port",
        "0",
        "--no-reconcile",
        "--clock",
        f"{folder}/clock",
        "--json",
    ]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        try:
            url = json.loads(server.stdout.readline())["url"]
            base = url.partition("/#")[0]
            page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
            )
            page.goto(url)
            page.wait_for_selector("#live")
            for name, path in PAGES.items():
                page.goto(base + path)
                if name == "sql":
                    page.click("#run")
                    page.click("#drawn button")
                    page.wait_for_selector("#drawn svg")
                    page.evaluate("window.scrollTo(0, 0)")
                page.screenshot(path=str(PICTURES / f"{name}.png"))
        finally:
            server.terminate()
            server.wait(30)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
