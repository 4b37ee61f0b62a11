"""The image of a virtual phone: kernel and first file system, built once and kept.

It is named by the hashes of the packages and of our own files in it. An image that was built stays
in use, without any network, until it is built anew on request or our own part changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from devdiff.android_harness.build import compile_program
from devdiff.android_harness.errors import HarnessError
from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual import userland
from devdiff.device_runner.virtual.apt import ARCHITECTURE, SUITE, Deb, PrivateApt, machine_mirrors
from devdiff.device_runner.virtual.deb import DebMember, members
from devdiff.system import kept_files
from devdiff.system.cache import cache_root, whole_directory

KERNEL_PACKAGE: Final = "linux-image-cloud-arm64"
ADBD_PACKAGE: Final = "adbd"
BUSYBOX_PACKAGE: Final = "busybox-static"

_INIT: Final = Path(__file__).parent / "init.c"
# Linked with the phone's own libc: the compiler makes stubs of that in seconds, where a static libc
# would take it half a minute.
_INIT_TRIPLE: Final = "aarch64-linux-gnu.2.28"
_INIT_FLAGS: Final = (
    *("-Os", "-s", "-g0", "-std=gnu11", "-Wl,--build-id=none"),
    *("-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes"),
)
# Raise it when the code that puts the image together changes what is in it.
_LAYOUT: Final = 2
_KEPT_IMAGES: Final = 3
_MANIFEST: Final = "image.json"


@dataclass(frozen=True, slots=True)
class Image:
    """A built image; ``key`` names its contents, ``packages`` maps names to versions."""

    directory: Path
    key: str
    packages: Mapping[str, str]

    @property
    def kernel(self) -> Path:
        return self.directory / "Image"

    @property
    def initramfs(self) -> Path:
        return self.directory / "initramfs"

    @property
    def adbd(self) -> Path:
        """The adbd program that is also in the initramfs."""
        return self.directory / "adbd"


def ensure_image(
    *,
    mirror: str | None = None,
    refresh: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Image:
    """The newest image in the cache; built first when there is none, or with ``refresh``.

    ``mirror`` is the address of a Debian archive, the machine's own when it is None; ``say`` is
    told what takes time. Safe when several processes want it at once. Raises `VirtualPhoneError`.
    """
    recipe = _recipe()
    if not refresh and (image := _newest(recipe)):
        return image
    root = cache_root() / "virtual"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "images.lock"):
            if not refresh and (image := _newest(recipe)):
                return image
            # Nobody else builds now: what lies about was left by a build that was killed.
            for stale in (*root.glob(".fetch-*"), *_images().glob(".*")):
                shutil.rmtree(stale, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as folder:
                image = _build(Path(folder), recipe, mirror, say)
            _forget_old()
            return image
    except OSError as error:
        raise VirtualPhoneError(
            f"cannot build the virtual phone's image in {root}: {error}; make room there, make it "
            "writable, or name another place in DEVDIFF_CACHE_DIR"
        ) from error


def _images() -> Path:
    return cache_root() / "virtual" / "images"


def _recipe() -> str:
    """A hash of what this version of devdiff puts into an image besides the packages."""
    digest = hashlib.sha256("\0".join((str(_LAYOUT), _INIT_TRIPLE, *_INIT_FLAGS)).encode())
    for path in (_INIT, *userland.own_files()):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _newest(recipe: str) -> Image | None:
    """The image of a recipe that was built last; one with damaged files is passed over."""
    found = [image for path in _manifests() if (image := _read(path, recipe))]
    return found[0] if found else None


def _manifests() -> list[Path]:
    """The manifests of all images, the newest first."""
    found = []
    for path in _images().glob(f"*/{_MANIFEST}"):
        try:
            found.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    return [path for _, path in sorted(found, reverse=True)]


def _read(manifest: Path, recipe: str) -> Image | None:
    try:
        data = json.loads(manifest.read_text())
        if data["recipe"] != recipe:
            return None
        if not kept_files.intact(manifest.parent, data["key"]):
            return None
        packages = {name: package["version"] for name, package in data["packages"].items()}
        return Image(manifest.parent, data["key"], packages)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _build(folder: Path, recipe: str, mirror: str | None, say: Callable[[str], None]) -> Image:
    apt = _reach(folder, mirror, say)
    depends = apt.describe(KERNEL_PACKAGE).get("depends", "")
    concrete = re.search(r"linux-image-\d[^ ,(]*", depends)
    if concrete is None:
        raise VirtualPhoneError(f"{KERNEL_PACKAGE} names no kernel package, but: {depends!r}")
    names = sorted({*apt.closure(ADBD_PACKAGE), BUSYBOX_PACKAGE, concrete[0]})
    say("fetching the virtual phone's packages (about 40 MB)")
    downloads = folder / "debs"
    downloads.mkdir()
    debs = apt.download(names, downloads)
    digest = hashlib.sha256(recipe.encode())
    for name in names:
        digest.update(f"\0{name}\0{debs[name].sha256}".encode())
    key = digest.hexdigest()[:32]
    target = _images() / key
    if (image := _read(target / _MANIFEST, recipe)) is not None:
        os.utime(target / _MANIFEST)
        return image
    shutil.rmtree(target, ignore_errors=True)
    say("putting the virtual phone's image together")
    with whole_directory(target) as directory:
        assemble(debs, directory)
        kept_files.record(directory, key)
        manifest = {
            "key": key,
            "recipe": recipe,
            "packages": {
                name: {"version": deb.version, "sha256": deb.sha256} for name, deb in debs.items()
            },
        }
        (directory / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return Image(target, key, {name: deb.version for name, deb in debs.items()})


def assemble(debs: Mapping[str, Deb], directory: Path) -> None:
    """Write the kernel, the initramfs and adbd into ``directory``.

    The same packages give the same bytes. Raises `VirtualPhoneError`.
    """
    found: dict[str, DebMember] = {}
    for name in sorted(debs):
        found |= members(debs[name].path, userland.wanted)
    (directory / "Image").write_bytes(userland.kernel(found))
    (directory / "adbd").write_bytes(userland.adbd(found))
    with tempfile.TemporaryDirectory(dir=directory) as work:
        program = Path(work) / "init"
        try:
            compile_program((_INIT,), program, _INIT_TRIPLE, _INIT_FLAGS)
        except HarnessError as error:
            raise VirtualPhoneError(str(error)) from error
        init = program.read_bytes()
    libc = debs["libc6"].version.split("-")[0]
    with (directory / "initramfs").open("wb") as stream:
        userland.write_initramfs(stream, init, found, libc)


def _reach(folder: Path, mirror: str | None, say: Callable[[str], None]) -> PrivateApt:
    """apt with the lists of the first mirror that serves what is needed."""
    candidates = (mirror,) if mirror else machine_mirrors()
    advice = "name a Debian mirror that this machine reaches with --mirror ADDRESS"
    if not candidates:
        raise VirtualPhoneError(f"this machine's apt knows no archive of packages; {advice}")
    refusals = []
    for number, candidate in enumerate(candidates):
        say(f"asking {candidate} for Debian {SUITE} ({ARCHITECTURE})")
        apt = PrivateApt(folder / f"apt{number}", candidate)
        try:
            apt.update()
            return apt
        except VirtualPhoneError as error:
            refusals.append(str(error))
    raise VirtualPhoneError(
        f"no mirror serves Debian {SUITE} to the virtual phone; {advice}\n" + "\n".join(refusals)
    )


def _forget_old() -> None:
    for manifest in _manifests()[_KEPT_IMAGES:]:
        shutil.rmtree(manifest.parent, ignore_errors=True)
