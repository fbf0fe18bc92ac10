"""Several programs at a time, one per core, each program's output in one piece when it has ended.

Standard library only.
"""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

WAIT_S = 30  # for a program to end by itself after Ctrl-C


def run_lanes(
    commands: Mapping[str, Sequence[str]],
    env: Mapping[str, Mapping[str, str]],
    good: Sequence[int] = (0,),
    width: int | None = None,
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> list[str]:
    """Run all `commands`, `width` at a time (default: one per core), and print what each printed.

    Args: env — by the command's name, what its environment has beyond ours; good — exit codes that are fine.
    Returns: the names of those that failed, in the order of `commands`.
    """
    running: list[subprocess.Popen[bytes]] = []
    codes: dict[str, int] = {}
    printing = threading.Lock()

    def run(name: str) -> None:
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                commands[name],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **env.get(name, {})},
            )
            running.append(process)
            codes[name] = process.wait()
            output.seek(0)
            text = output.read().decode(errors="replace")
        with printing:
            say(f"== {name}: exit code {codes[name]} after {time.monotonic() - began:.0f} s\n{text}")

    width = width or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])
    with ThreadPoolExecutor(width) as lanes:
        waiting = [lanes.submit(run, name) for name in commands]
        try:
            for each in waiting:
                each.result()
        except BaseException:  # Ctrl-C went to the programs too, if they share our terminal
            lanes.shutdown(wait=False, cancel_futures=True)
            _end(running)
            raise
    return [name for name in commands if codes[name] not in good]


def _end(running: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask what still runs to stop; kill what has not in `WAIT_S` seconds."""
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    give_up = time.monotonic() + WAIT_S
    for process in running:
        try:
            process.wait(max(0.0, give_up - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
