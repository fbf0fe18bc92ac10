"""`nox -s s3`: a sweep whose records go to an S3 server on the loopback address, with an outage in it.

The server is moto's.  A bucket that is not there and a key that is refused are one line before any work; a
server that is killed in the middle loses no finished run; at the end every record equals the serial
executor's.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slurm_trial import Broken, expect, say

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "main.py --data_path {data}/ --save_path {artefacts}/ --data_file mnist_rotations.pt --seed {seed}"
SPEC = """
name = "s3"
seeds = [0, 1, 2, 3, 4, 5]
[[row]]
paper = "mer"
setting = "short"
method = "online"
command = "{command} --model online --lr 0.01 --samples_per_task 20 --cuda no"
[prepare]
mer = [["get_data.py", "rotations", "--source", "quick", "--out_dir", "{data}"]]
"""
PATIENCE_S = 1800.0
# moto looks at keys only when it is told to, from the so many-th request on.
CHECKED = {"INITIAL_NO_AUTH_ACTION_COUNT": "0"}


class Server:
    """moto's server on a port of the loopback address; it forgets everything when it is killed."""

    def __init__(self, port: int, log: Path, variables: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        program = "from moto.server import main; main()"
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, "-H", "127.0.0.1", "-p", str(port)],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait(lambda: self._answers(port), "moto's server")

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait()

    def _answers(self, port: int) -> bool:
        if self._process.poll() is not None:
            raise Broken("moto's server does not start")
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """Returns: 0 if all was as promised; 1 if something was not."""
    with tempfile.TemporaryDirectory(prefix="cl-repro-s3-") as folder:
        try:
            trial = Trial(Path(folder))
            try:
                for step in (trial.wrong_bucket, trial.outage, trial.compared, trial.wrong_key):
                    started = time.monotonic()
                    found = step()
                    name, took = step.__name__.replace("_", " "), time.monotonic() - started
                    say(f"ok     {name:14} {took:6.1f} s  {found}")
            finally:
                trial.server.kill()
        except (Broken, subprocess.SubprocessError) as problem:
            print(f"BROKEN {problem}", file=sys.stderr)
            return 1
    return 0


class Trial:
    """One sweep of six runs, a server, and a folder for everything that it would leave in this user's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = folder / "sweep.toml"
        self.spec.write_text(SPEC.replace("{command}", COMMAND), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.server = self._server({})

    def wrong_bucket(self) -> str:
        """A bucket that is not there is one line and code 2, and is not made."""
        done = self._sweep("s3://no-such-bucket/runs")
        expect(done.returncode == 2, f"code {done.returncode}: {done.stderr[-300:]}")
        expect("make the bucket first" in done.stderr and done.stderr.count("\n") == 1, repr(done.stderr))
        expect("no-such-bucket" not in self._buckets(), "the bucket was made")
        return done.stderr.strip()[:100]

    def outage(self) -> str:
        """The server is killed after the second record; finished runs wait, the same command sends them.

        moto's server forgets what it held, so those two are made again.
        """
        self._make_bucket()
        with self._start("s3://runs/a", "--store_patience", "5", "--jobs", "2") as running:
            wait(lambda: len(self._stored()) >= 2 or running.poll() is not None, "two records in the store")
            self.server.kill()
            said = running.communicate(timeout=PATIENCE_S)[1]
        expect(running.returncode == 1, f"the outage: code {running.returncode}: {said[-400:]}")
        expect("waiting for s3://runs/a" in said, f"nothing waits: {said[-400:]!r}")
        self.server = self._server({})
        self._make_bucket()
        again = self._sweep("s3://runs/a")
        expect(again.returncode == 0, f"after the outage: code {again.returncode}: {again.stderr[-400:]}")
        expect("sent: " in again.stderr, f"after the outage: {again.stderr[-400:]!r}")
        expect(len(self._stored()) == 6, f"{len(self._stored())} records are in the store")
        return again.stderr.partition("sent: ")[2].partition("\n")[0]

    def compared(self) -> str:
        """Every record in the store equals the serial executor's."""
        out = self.folder / "serial"
        done = self._sweep(str(out), "--executor", "serial")
        expect(done.returncode == 0, f"serial: code {done.returncode}: {done.stderr[-300:]}")
        files = (out / "mer" / "s3" / "records").rglob("seed*.json")
        expected = {path.name: _result(path.read_bytes()) for path in files}
        found = {name.rpartition("/")[2]: _result(self._get(name)) for name in self._stored()}
        expect(found == expected and len(found) == 6, f"{len(found)} records, {len(expected)} serial ones")
        return f"{len(found)} of {len(expected)} records equal"

    def wrong_key(self) -> str:
        """A key that the store refuses is one line and code 2 before any work."""
        self.server.kill()
        self.server = self._server(CHECKED)
        done = self._sweep("s3://runs/b")
        expect(done.returncode == 2, f"code {done.returncode}: {done.stderr[-300:]}")
        one_line = done.stderr.startswith("error: s3://runs/b: ") and done.stderr.count("\n") == 1
        expect(one_line, repr(done.stderr))
        return done.stderr.strip()[:100]

    def _server(self, variables: dict[str, str]) -> Server:
        return Server(self.port, self.folder / "moto.log", variables)

    def _variables(self) -> dict[str, str]:
        own = {name: str(self.folder / name.lower()) for name in ("CL_REPRO_OUTBOX", "TMPDIR")}
        Path(own["TMPDIR"]).mkdir(exist_ok=True)
        return {
            **os.environ,
            **own,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "CL_REPRO_HOME": str(ROOT),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "trial",
            "AWS_SECRET_ACCESS_KEY": "trial",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def _command(self, out: str, *flags: str) -> list[str]:
        return [sys.executable, "-m", "clrepro.cli", "sweep", str(self.spec), "--out", out, *flags]

    def _sweep(self, out: str, *flags: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._command(out, *flags),
            env=self._variables(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def _start(self, out: str, *flags: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command(out, *flags), env=self._variables(), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )

    def _client(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(
            key="trial",
            secret="trial",
            endpoint_url=self.server.url,
            skip_instance_cache=True,
            use_listings_cache=False,
        )

    def _buckets(self) -> list[str]:
        return list(self._client().ls("", detail=False))

    def _make_bucket(self) -> None:
        self._client().mkdir("runs")

    def _all_objects(self) -> list[str]:
        return [path.removeprefix("runs/") for path in self._client().find("runs")]

    def _stored(self) -> list[str]:
        """The records that are whole."""
        return [name for name in self._all_objects() if re.search(r"/records/.*/seed\d+\.json$", name)]

    def _get(self, name: str) -> bytes:
        return bytes(self._client().cat_file(f"runs/{name}"))


def wait(ready: Callable[[], Any], what: str) -> None:
    """Wait until `ready`.  Raises: Broken after ten minutes."""
    give_up = time.monotonic() + 600
    while not ready():
        if time.monotonic() > give_up:
            raise Broken(f"waited 600 s for {what}")
        time.sleep(0.2)


def _result(text: bytes) -> dict[str, Any]:
    """What a record says of its result."""
    made = ("cost", "versions", "origin", "sha256")
    return {name: value for name, value in json.loads(text).items() if name not in made}


if __name__ == "__main__":
    raise SystemExit(main())
