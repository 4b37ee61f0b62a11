"""What of a configuration runs code when it is tested, and who said that it may.

Whoever opens a pull request can write a devdiff.toml, and the files that it names. On a machine
that builds what strangers send, such a file is not run because it is there.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.errors import UsageError
from devdiff.exporter.artifact import sha256_file, sha256_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from devdiff.gate.config import Config, Entry

# Set by GitHub, GitLab, CircleCI, Travis, Buildkite and others; by Azure, Jenkins and TeamCity.
_CI: Final = ("CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION")


@dataclass(frozen=True, slots=True)
class Code:
    """One key that runs code: ``key`` with its table, ``why`` in words, and the ``file``."""

    key: str
    why: str
    file: Path

    def __str__(self) -> str:
        return f"{self.key} {self.why}"


def code_in(entries: Iterable[Entry]) -> tuple[Code, ...]:
    """Every key of these models that runs code of the configuration's choice."""
    return tuple(code for entry in entries for code in _code(entry))


def _code(entry: Entry) -> Iterator[Code]:
    table = f"[models.{entry.name}]"
    for key, file in entry.files():
        if file.suffix == ".py":
            yield Code(f"{table} {key}", f"runs {file.name}", file)
    runtime = entry.running.runtime
    if runtime is not None and Path(runtime).exists():
        yield Code(f"{table} runtime", f"loads {Path(runtime).name}", Path(runtime))
    if entry.model.trust:
        for key, model in entry.model.files():
            if key != "float":
                yield Code(f"{table} trust", f"runs code in its {key} {model.name}", model)


def digest(config: Config) -> str:
    """SHA-256 of a configuration and of every file that it runs, as lower-case hex.

    What these import or load in turn is not in it. Raises `OSError`.
    """
    found = hashlib.sha256(f"{sha256_file(config.path)}\n".encode())
    for code in code_in(config.entries):
        known = sha256_path(code.file) if code.file.exists() else "missing"
        found.update(f"{code.key} {known}\n".encode())
    return found.hexdigest()


def check(
    config: Config,
    codes: Sequence[Code],
    trusted: bool = False,
    sha256: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Whether what ``codes`` name may run: everywhere but in CI, and there when it is ``trusted``.

    With ``sha256`` the whole must have this `digest`, in CI or not. Raises `UsageError`.
    """
    if not codes:
        return
    path, found = config.path, digest(config)
    if sha256 is not None and sha256.lower() != found:
        raise UsageError(
            f"{path} or a file that it runs has changed: the SHA-256 is {found}, and "
            f"{sha256.lower()} is trusted; look at what runs ({listed(codes)}), then trust the new "
            "one"
        )
    if trusted or sha256 is not None or not in_ci(environ):
        return
    raise UsageError(
        f"{path} runs code ({listed(codes)}), which is not done in CI unasked, since a pull "
        "request may have brought it: if nobody but you can change these files, give "
        f"--trust-config; to trust them as they are, --trust-config-sha256 {found}"
    )


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether this machine builds what others send, as far as its environment says so."""
    return any(environ.get(name, "").lower() not in ("", "0", "false", "no") for name in _CI)


def listed(codes: Sequence[Code]) -> str:
    return ", ".join(map(str, codes))
