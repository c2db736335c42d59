"""What an error or an object shows of itself, to look for what it must not show."""

from __future__ import annotations

import pickle
from pathlib import Path
from traceback import FrameSummary, TracebackException

import fanvue_async

_PACKAGE = str(Path(fanvue_async.__file__).parent)


def package_frames(error: BaseException) -> list[FrameSummary]:
    """Return the frames of the package that ``error`` went through, with their locals."""
    report = TracebackException.from_exception(error, capture_locals=True)
    return [frame for frame in report.stack if frame.filename.startswith(_PACKAGE)]


def shown_by(error: BaseException) -> str:
    """Write down all that a log, a crash report or a pickle shows of ``error``."""
    locals_of_frames = [frame.locals for frame in package_frames(error)]
    notes = getattr(error, "__notes__", [])
    chain = (error.__cause__, error.__context__)
    text = (str(error), repr(error), error.args, vars(error), notes, chain, locals_of_frames)
    return f"{text} {pickle.dumps(error, protocol=0)!r}"
