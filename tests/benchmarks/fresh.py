"""What only a fresh process can tell: memory, import time and instructions.

``python -m benchmarks.fresh memory|calls NAME URL COUNT`` is such a process.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks import TESTS
from benchmarks.calls import BEST, CONNECTIONS, CONTENDERS, HTTPX, NAIVE, RULER, SDK, TENACITY
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.calls import Contender

IMPORTS = {"fanvue_async": "fanvue_async", "httpx": "httpx"}
"""What is imported on top of aiohttp, and nothing else, under the name that it is shown by."""

_IMPORT = """
import time
start = time.process_time()
import aiohttp
middle = time.process_time()
import {module}
print(middle - start, time.process_time() - middle)
"""
_FEW, _MANY = 100, 300


def memory(url: str, *, quick: bool) -> dict[Contender, float]:
    """Give the bytes per waiting call, of as many calls at once as each way bears."""
    contenders = [SDK, NAIVE, BEST, TENACITY]
    if not quick:
        contenders.append(HTTPX)

    def of(contender: Contender) -> float:
        count = contender.most_at_once
        command = _this("memory", contender.name, f"{url}/hold", str(count))
        return int(_output(command)) / count

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # bytes are the same on a busy machine
        return dict(zip(contenders, threads.map(of, contenders), strict=True))


def imports(rounds: int) -> tuple[Spread, dict[str, Spread]]:
    """Give the milliseconds of importing aiohttp, and of what else on top of it."""
    base: list[float] = []
    on_top: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for number in range(rounds + 1):
        for name, module in IMPORTS.items():
            output = _output([sys.executable, "-c", _IMPORT.format(module=module)])
            aiohttp, module_alone = (float(seconds) * 1000 for seconds in output.split())
            if number:  # the first round reads the files from the disk
                base.append(aiohttp)
                on_top[name].append(module_alone)
    return Spread.of(base), {name: Spread.of(values) for name, values in on_top.items()}


def instructions(url: str) -> dict[Contender, float] | None:
    """Give the instructions per call, one call after another; None without valgrind.

    They are nearly the same on a busy machine: what 300 calls take more than 100 do, start and end
    left out. The server answers late, so that each call really waits, however slow valgrind is.
    """
    if shutil.which("valgrind") is None:
        return None

    def of(contender: Contender, count: int) -> int:
        valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        report = _output(
            [*valgrind, *_this("calls", contender.name, f"{url}/late", str(count))],
            environment={"PYTHONHASHSEED": "0"},
        )
        collected = re.search(r"Collected : ([0-9]+)", report)
        assert collected is not None, report
        return int(collected[1])

    contenders = (SDK, NAIVE, RULER, BEST, TENACITY)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        few = {c: threads.submit(of, c, _FEW) for c in contenders}
        many = {c: threads.submit(of, c, _MANY) for c in contenders}
        return {c: (many[c].result() - few[c].result()) / (_MANY - _FEW) for c in contenders}


def _this(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.fresh", *arguments]


def _output(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    return subprocess.run(  # noqa: S603 - ours
        command,
        check=True,
        cwd=TESTS,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


async def _measure_memory(contender: Contender, url: str, count: int) -> None:
    """Print the bytes of ``count`` calls to a server that answers none."""
    async with contender.open(url) as call:
        waiting: list[asyncio.Future[str]] = []

        async def start(more: int) -> None:
            waiting.extend(asyncio.ensure_future(call()) for _ in range(more))
            done, _ = await asyncio.wait(waiting, timeout=1)
            if done:
                sys.stderr.write(f"{len(done)} calls ended: {done.pop()}\n")
                os._exit(1)

        tracemalloc.start()
        await start(1)  # makes what all of them share
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        await start(CONNECTIONS)  # at leisure: starting all the others takes a while
        await start(count - CONNECTIONS)
        _, peak = tracemalloc.get_traced_memory()
        sys.stdout.write(f"{peak - before}\n")
        sys.stdout.flush()
        os._exit(0)  # how long it takes to cancel them is not measured here


async def _make_calls(contender: Contender, url: str, count: int) -> None:
    async with contender.open(url) as call:
        await call()
        gc.collect()
        gc.freeze()  # or a look at all that is imported falls into some counts and not others
        for _ in range(count):
            await call()


def _main(kind: str, name: str, url: str, count: str) -> None:
    (contender,) = (c for c in CONTENDERS if c.name == name)
    run = _measure_memory if kind == "memory" else _make_calls
    asyncio.run(run(contender, url, int(count)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
