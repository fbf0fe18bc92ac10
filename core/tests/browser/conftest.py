"""Headless Chromium over its debugging pipe, and a small site for it to look at."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clrepro.arena.runs import shipped
from clrepro.claims import Claims, Ordering, Reference, Value
from clrepro.records import RunRecord
from clrepro.report import results_table, write_site
from clrepro.report.arena import arena_page
from clrepro.report.bench_results import Bench, Benchmark, Fault, Faults, Line, Ratio, Scaling, Variant
from clrepro.report.page import Offer, PaperFacts
from clrepro.report.site import Measured

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("background-networking", "component-update", "sync", "gpu", "quic", "dev-shm-usage")
TIMEOUT_S = 60.0
LISTENER = """window.broken = [];
addEventListener("securitypolicyviolation", event => broken.push(event.violatedDirective));
addEventListener("error", event => broken.push(String(event.message)), true);"""


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
        self.events: list[Any] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        self("Page.addScriptToEvaluateOnNewDocument", source=LISTENER)

    def __call__(self, method: str, **params: object) -> Any:
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

    def _messages(self) -> list[Any]:
        try:
            self.rest += os.read(self.answers, 1 << 20)
        except BlockingIOError:
            time.sleep(0.005)
        *whole, self.rest = self.rest.split(b"\0")
        return [json.loads(text) for text in whole]

    def open(self, url: str, width: int = 1400, scheme: str = "light") -> list[Any]:
        """Load a page.  Returns: the events until it had loaded, and for a moment more: some come late."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self("Page.navigate", url="about:blank")
        self("Page.navigate", url=url)
        give_up = time.monotonic() + TIMEOUT_S
        while self.value("location.href + document.readyState") != url + "complete":
            assert time.monotonic() < give_up, f"{url} did not load"
        self.value("new Promise(done => setTimeout(done, 150))")
        return list(self.events)

    def value(self, script: str) -> Any:
        """What a script comes to; a promise is awaited."""
        done = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def picture(self, path: Path) -> None:
        """Store the whole page as a PNG."""
        shot = self("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def press(self, key: str) -> None:
        """Press and release a key."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        names = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self("Input.dispatchKeyEvent", type="keyDown", **names, **text)
        self("Input.dispatchKeyEvent", type="keyUp", **names)

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        self.process.wait(timeout=20)
        os.close(self.commands)
        os.close(self.answers)


VALUES = {"mer": [0.72, 0.722, 0.718], "gem": [0.59, 0.61, 0.60], "er": [0.69, 0.71, 0.68]}
MINUTES = {"mer": 10.0, "gem": 1.0, "er": 5.0}
CLAIMS = Claims(
    "A title",
    {"RA": "retained accuracy, %", "BTI": "transfer, points"},
    ("a note",),
    (
        Value("full", "rot/200", "mer", "RA", "recalled", "table 1", Reference(72.0, 0.1, 5)),
        Value("full", "rot/200", "gem", "RA", "found", "table 1", Reference(50.0, 0.1, 5)),
        Value("full", "rot/200", "er", "RA", "found", "table 1", Reference(69.0)),
    ),
    (Ordering("full", "C1 first", "rot/200", "RA", "er", "mer", 3.0),),
)
README = "## Differences from the original\n\n| there | here |\n|---|---|\n| `a` | b |\n"
FACTS = PaperFacts(
    "mer", CLAIMS.title, CLAIMS.metrics, CLAIMS.notes, (Offer("quick", 2, 6, "5 min"),), README
)
NAME = "a name of a benchmark that is long enough to need more than a single line of the table"
VARIANTS = (Variant("ours", 1e-6, 9e-7, 2e-6, 5), Variant("theirs", 1e-5, 9e-6, 2e-5, 5))
MEASURED = Measured(
    Bench(
        {"cpu": "some"},
        "2026-01-02T03:04:05",
        tuple(
            Benchmark(
                "mer",
                f"{name} {NAME}",
                "step",
                "",
                "wall",
                VARIANTS,
                Ratio("theirs", "ours", by, by, by),
                5.0,
                word,
            )
            for name, by, word in (("one", 12.0, "kept"), ("two", 2.0, "missed"))
        ),
        (Scaling("mer", "memory", "slots", "s", True, (Line("ours", (1, 10, 100), (1, 2, 3)),)),),
    ),
    Faults(
        {},
        "2026-01-02",
        (Fault("kill", "kill -9", 9, 9, 0, 0, 1.5, ""), Fault("disk", "full", 2, 1, 1, 0, 1, "x")),
    ),
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    records = [
        RunRecord(
            paper="mer", profile="full", setting="rot/200", method=method, seed=seed,
            command=["main.py", "--model"],
            settings={}, settings_hash="0" * 64, metrics={"RA": value, "BTI": -value},
            series={"R": [[value, 0.1], [value, value]]}, cost={"wall_s": 60 * MINUTES[method]},
        )
        for method, values in VALUES.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip
    table = results_table("mer", "full", records, CLAIMS)
    arena = arena_page([record for record in shipped() if record.profile == "quick"], "er")
    write_site(out, [table], [FACTS], {("mer", "full"): "committed 1 May 2026"}, MEASURED, arena)
    return out


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    browser = Browser(PROGRAM, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
