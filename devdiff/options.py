"""What a user may choose about a test, as values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Running:
    """Where a model runs: ``device`` as `devdiff.ladder.device_selection.open_device` takes it.

    ``host_runtimes`` are named as `HostRunner.parse` takes them; with none, `hosts` chooses.
    ``runtime`` is the device's runtime library: a path, a pinned one's name, or None.
    ``keep_going`` passes over samples that kill the runner on a phone.
    """

    device: str | None = None
    host_runtimes: tuple[str, ...] = ()
    runtime: str | None = None
    delegate: Literal["xnnpack", "none", "gpu", "nnapi"] = "xnnpack"
    threads: int = 1
    keep_going: bool = False
    timeout_s: float = 120.0

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host runtimes, the main one first.

        Left open, it is LiteRT with the kind of kernels the device runs, so that a difference
        between the two is the device's.
        """
        builtin = self.delegate == "none" and self.device != "none"
        return self.host_runtimes or (("litert:builtin",) if builtin else ("litert",))

    def fingerprint(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "host_runtimes": self.hosts}


@dataclass(frozen=True, slots=True)
class Gates:
    """What may differ before a verdict is ``fail``.

    ``atol`` and ``rtol`` are ``VALUE`` or ``OUTPUT:VALUE``, as on the command line.
    """

    atol: tuple[str, ...] = ()
    rtol: tuple[str, ...] = ()
    min_agreement: float = 0.95
    min_snr_db: float = 10.0
    min_variation_snr_db: float = 5.0
    max_lsb: int = 1
    exact: bool = False
    min_samples: int = 8
    classifiers: tuple[str, ...] = ()

    def fingerprint(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


DEFAULT_RUNNING: Final = Running()
DEFAULT_GATES: Final = Gates()
