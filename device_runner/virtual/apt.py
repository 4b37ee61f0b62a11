"""Fetches Debian packages with apt, out of sight of the machine's own apt.

Everything apt keeps (sources, lists, state, downloads) lies in one directory of ours, so neither
root nor any change to the machine is needed. What reaches the packages is the machine's way, a
proxy or a certificate, and nothing else of its configuration: no hooks, no pins, no other sources.
Signatures are checked against Debian's archive keyring whatever the machine allows itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.exporter.artifact import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUITE: Final = "trixie"
ARCHITECTURE: Final = "arm64"
_KEYRINGS: Final = tuple(
    Path("/usr/share/keyrings") / f"debian-archive-keyring.{kind}" for kind in ("gpg", "pgp")
)
_SECONDS: Final = 900
# Settings of the machine's apt that say how to reach a mirror at all.
_WAYS: Final = re.compile(
    r"Acquire::(https?(::.*)?|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-FutureTime) "
)
_INSTALL_LINE: Final = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Deb:
    """A fetched binary package; ``sha256`` is the hash of the file ``path``, in hex."""

    name: str
    version: str
    sha256: str
    path: Path


class PrivateApt:
    """apt with a configuration, a state and a source of its own, all inside ``directory``."""

    def __init__(self, directory: Path, mirror: str, architecture: str = ARCHITECTURE) -> None:
        """Prepare ``directory``, which is filled from ``mirror``, the address of an archive.

        Raises `VirtualPhoneError` when apt or Debian's keyring is missing.
        """
        need_tools()
        self._directory = directory
        self._mirror = mirror
        for name in ("lists/partial", "archives/partial", "state", "parts", "home"):
            (directory / name).mkdir(parents=True)
        (directory / "state" / "status").touch()
        source = f"deb [signed-by={_keyring()}] {mirror} {SUITE} main\n"
        (directory / "sources.list").write_text(source)
        self._config = directory / "apt.conf"
        self._config.write_text(_configuration(directory, architecture))

    def update(self) -> None:
        """Fetch and verify the list of packages. Raises `VirtualPhoneError` with apt's reasons."""
        self._run("apt-get", "--quiet", "update")

    def describe(self, name: str) -> dict[str, str]:
        """The fields of the newest version of a package, names in lower case.

        Raises `VirtualPhoneError` when the archive has no such package.
        """
        output = self._run("apt-cache", "show", "--no-all-versions", name)
        return next(_stanzas(output))

    def closure(self, name: str) -> tuple[str, ...]:
        """The names of a package and of all it depends on."""
        output = self._run("apt-get", "--simulate", "--no-install-recommends", "install", name)
        return tuple(match[1] for match in _INSTALL_LINE.finditer(output))

    def download(self, names: Sequence[str], folder: Path) -> dict[str, Deb]:
        """Fetch the newest versions of packages into ``folder``, by name.

        Raises `VirtualPhoneError` when one is not there or is not what the signed list says.
        """
        self._run("apt-get", "--quiet", "download", *names, cwd=folder)
        output = self._run("apt-cache", "show", "--no-all-versions", *names)
        found = {}
        for fields in _stanzas(output):
            name, version = fields["package"], fields["version"]
            file = f"{name}_{version.replace(':', '%3a')}_{fields['architecture']}.deb"
            deb = Deb(name, version, fields["sha256"], folder / file)
            if not deb.path.is_file() or sha256_file(deb.path) != deb.sha256:
                raise VirtualPhoneError(f"{self._mirror}: {file} is not what the archive signed")
            found[name] = deb
        return found

    def _run(self, *command: str, cwd: Path | None = None) -> str:
        environment = {
            **os.environ,
            "APT_CONFIG": str(self._config),
            "HOME": str(self._directory / "home"),
            "LC_ALL": "C",
        }
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise VirtualPhoneError(
                f"{command[0]} got no answer from {self._mirror} for {_SECONDS} s"
            ) from error
        except OSError as error:
            raise VirtualPhoneError(f"cannot start {command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
            reasons = " ".join(lines[-4:]) or f"{command[0]} ended with code {done.returncode}"
            raise VirtualPhoneError(f"{self._mirror}: {reasons}")
        return done.stdout


def need_tools() -> None:
    """Raises `VirtualPhoneError`, saying what to install, unless apt and dpkg-deb are here."""
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise VirtualPhoneError(
            f"the virtual phone is put together from Debian packages, and {' and '.join(missing)} "
            "is missing here; on Debian or Ubuntu an administrator can run: apt-get install apt "
            "dpkg; elsewhere copy the folder virtual/images of devdiff's cache from such a machine"
        )


def machine_mirrors() -> tuple[str, ...]:
    """The archives this machine's apt knows, the likeliest home of Debian's suites first."""
    try:
        output = subprocess.run(
            ["apt-config", "shell", "L", "Dir::Etc::sourcelist/f", "P", "Dir::Etc::sourceparts/d"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        output = ""
    places = dict(re.findall(r"^([LP])='(.*)'$", output, re.MULTILINE))
    files = [Path(places.get("L", "/etc/apt/sources.list"))]
    parts = Path(places.get("P", "/etc/apt/sources.list.d"))
    if parts.is_dir():
        files += sorted(p for p in parts.iterdir() if p.suffix in (".list", ".sources"))
    sources: list[AptSource] = []
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        sources += parse_deb822(text) if file.suffix == ".sources" else parse_one_line(text)
    return mirrors(sources)


@dataclass(frozen=True, slots=True)
class AptSource:
    """An enabled archive of binary packages, as apt's configuration names it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


# Debian's releases by name, which no other distribution uses for its own.
_DEBIAN: Final = frozenset(
    (
        *("stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "duke"),
        *("sid", "unstable", "testing", "oldstable"),
    )
)


def mirrors(sources: Sequence[AptSource]) -> tuple[str, ...]:
    """The addresses to try for a Debian release, each once; security archives are no such."""
    fit = [
        source
        for source in sources
        if "main" in source.components
        and not source.uri.startswith("cdrom:")
        and any(not s.endswith(("-security", "/updates", "/")) for s in source.suites)
    ]
    fit.sort(key=lambda source: not any(s.split("-")[0] in _DEBIAN for s in source.suites))
    return tuple(dict.fromkeys(source.uri for source in fit))


def parse_deb822(text: str) -> list[AptSource]:
    """The enabled binary archives of a ``.sources`` file."""
    found = []
    for fields in _stanzas(text):
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off", "without"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        suites = tuple(fields.get("suites", "").split())
        components = tuple(fields.get("components", "").split())
        found += [AptSource(uri, suites, components) for uri in fields.get("uris", "").split()]
    return found


def parse_one_line(text: str) -> list[AptSource]:
    """The binary archives of a ``.list`` file: ``deb [options] address suite components``."""
    found = []
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.split("#", 1)[0], count=1).split()
        if len(words) >= 3 and words[0] == "deb":
            found.append(AptSource(words[1], (words[2],), tuple(words[3:])))
    return found


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Paragraphs of ``Name: value`` lines; a value goes on in lines that begin with a blank."""
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()


def _keyring() -> Path:
    for keyring in _KEYRINGS:
        if keyring.is_file():
            return keyring
    raise VirtualPhoneError(
        f"Debian's archive keyring, which packages are verified with, is not in {_KEYRINGS[0]}; "
        "an administrator can run: apt-get install debian-archive-keyring"
    )


def _configuration(directory: Path, architecture: str) -> str:
    """The text of an apt.conf that keeps apt inside ``directory``.

    apt reads this file first and then those of ``Dir::Etc::parts``, so the machine's are shut out
    by naming an empty folder: their hooks would run on the machine's own packages.
    """
    empty = directory / "parts"
    settings = {
        "Dir::Etc::parts": empty,
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::sourcelist": directory / "sources.list",
        "Dir::Etc::sourceparts": empty,
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": empty,
        "Dir::State": directory / "state",
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": directory / "state" / "status",
        "Dir::Cache": directory,
        "Dir::Cache::archives": directory / "archives",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Get::AllowUnauthenticated": "false",
        "APT::Update::Error-Mode": "any",
        # The user apt would become for downloads cannot enter a home directory.
        "APT::Sandbox::User": "root",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Languages": "none",
    }
    return "".join((*_ways(), *(f'{name} "{value}";\n' for name, value in settings.items())))


def _ways() -> list[str]:
    """The machine's settings for proxies, certificates and retries, as lines of an apt.conf."""
    try:
        output = subprocess.run(
            ["apt-config", "dump"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [f"{line}\n" for line in output.splitlines() if _WAYS.match(line)]
