"""Times as people give them."""

from __future__ import annotations

import datetime
import re
from typing import Final

from devdiff.errors import UsageError

_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


def earliest(text: str, now: datetime.datetime | None = None) -> str:
    """``--since`` as UTC in the history's form; dates and times are this machine's.

    ``text`` is a date, a time in ISO form, or an age such as ``12h``, ``30d`` or ``8w``. Raises
    `UsageError`.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    age = re.fullmatch(r"(\d{1,5})([hdw])", text.strip())
    try:
        if age:
            found = now - datetime.timedelta(**{_UNITS[age[2]]: int(age[1])})
        else:
            found = datetime.datetime.fromisoformat(text)
        return found.astimezone(datetime.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--since {text!r}: write a date (2026-01-31), a time (2026-01-31T12:00) or an age "
            "(12h, 30d, 8w)"
        ) from error
