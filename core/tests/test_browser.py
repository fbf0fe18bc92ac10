"""Every page of the report in headless Chromium: no request but for its own files, no error, links that
lead somewhere, sorting, filter and copying that work, and no page wider than its window.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from clrepro.claims import Claims, Ordering, Reference, Value
from clrepro.records import RunRecord
from clrepro.report import results_table, write_site
from clrepro.report.measured import read_bench, read_faults
from clrepro.report.page import Offer, PaperFacts
from clrepro.report.site import Measured

QUIET = ("background-networking", "component-update", "sync", "gpu", "quic", "dev-shm-usage")
TIMEOUT_S = 60.0


class Browser:
    """Chromium over its debugging pipe: messages of JSON, each ended by a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        (command_out, self.commands), (self.answers, answer_in) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (command_out, answer_in)]

        def child() -> None:  # Chromium reads commands from 3 and answers on 4
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        flags = ["--headless", "--no-sandbox", "--no-first-run", "--remote-debugging-pipe"]
        flags += [f"--disable-{name}" for name in QUIET] + [f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            [program, *flags],
            preexec_fn=child,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (command_out, answer_in, *high):
            os.close(fd)
        os.set_blocking(self.answers, False)
        self.count, self.rest, self.session = 0, b"", None
        self.events: list[dict] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: object) -> dict:
        """The result of a command; events that come meanwhile are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        os.write(
            self.commands,
            json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0",
        )
        give_up = time.monotonic() + TIMEOUT_S
        while time.monotonic() < give_up:
            for answer in self._messages():
                if answer.get("id") == self.count:
                    assert "error" not in answer, (method, answer["error"])
                    return answer["result"]
                self.events.append(answer)
        raise TimeoutError(f"{method}: no answer in {TIMEOUT_S:g} s")

    def _messages(self) -> list[dict]:
        try:
            self.rest += os.read(self.answers, 1 << 20)
        except BlockingIOError:
            time.sleep(0.005)
        *whole, self.rest = self.rest.split(b"\0")
        return [json.loads(text) for text in whole]

    def open(self, url: str, width: int = 1400, scheme: str = "light") -> list[dict]:
        """Load a page.  Returns: the events until it had loaded."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self("Page.navigate", url="about:blank")
        self("Page.navigate", url=url)
        give_up = time.monotonic() + TIMEOUT_S
        while self.value("location.href + document.readyState") != url + "complete":
            assert time.monotonic() < give_up, f"{url} did not load"
        return list(self.events)

    def value(self, script: str) -> object:
        """What a script comes to; a promise is awaited."""
        done = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def picture(self, path: Path) -> None:
        """Store the whole page as a PNG."""
        shot = self("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        self.process.wait(timeout=20)
        os.close(self.commands)
        os.close(self.answers)
