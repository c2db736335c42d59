"""The fake server as a program."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable
from functools import partial

from fanvue_async.testing.buckets import checked
from fanvue_async.testing.fake import FakeFanvue


async def serve(
    fake: FakeFanvue, host: str, port: int, log: Callable[[str], None] | None = None
) -> None:
    """Run a fake server until SIGINT or SIGTERM, and say where it is."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(name, stopped.set)
        except NotImplementedError:  # loops on Windows
            signal.signal(name, lambda _, __: loop.call_soon_threadsafe(stopped.set) and None)
    await fake.serve(host, port, log)
    try:
        print(f"url    {fake.url}")
        print(f"token  {fake.token}", flush=True)
        await stopped.wait()
    finally:
        await fake.__aexit__(None, None, None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the fake server to a command."""
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all addresses")
    parser.add_argument("--port", type=_port, default=8080, help="0 lets the system choose")
    parser.add_argument(
        "--token", action="append", help="an access token; may be repeated (default: fake-token)"
    )
    parser.add_argument(
        "--rate-limit", type=_rate_limit, metavar="200/60", help="requests/seconds of a window"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="print method, path and status of each request"
    )


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the fake server with the options of ``add_arguments``."""
    log = partial(print, flush=True) if arguments.verbose else None
    try:
        fake = FakeFanvue(
            tokens=arguments.token or ("fake-token",), rate_limit=arguments.rate_limit
        )
        asyncio.run(serve(fake, arguments.host, arguments.port, log))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the fake server until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m fanvue_async.testing",
        description="A server that behaves like the Fanvue API.",
    )
    add_arguments(parser)
    run(parser, parser.parse_args(arguments))


def _port(text: str) -> int:
    if not text.isdecimal() or not int(text) < 65_536:  # noqa: PLR2004 - what fits a port
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def _rate_limit(text: str) -> tuple[int, float]:
    requests, _, seconds = text.partition("/")
    try:
        return checked(int(requests), float(seconds))
    except ValueError:
        raise argparse.ArgumentTypeError("must be requests/seconds, such as 200/60") from None


if __name__ == "__main__":
    main()
