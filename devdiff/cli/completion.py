"""``devdiff completion``: a script with which a shell completes the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from devdiff.cli.parsing import Parser

NAME: Final = "completion"
HELP: Final = "print a script that lets your shell complete commands, options, names and files"
EXAMPLES: Final = """\
examples:
  devdiff completion bash > ~/.local/share/bash-completion/completions/devdiff
  devdiff completion zsh > "${fpath[1]}/_devdiff"
  devdiff completion fish > ~/.config/fish/completions/devdiff.fish
  devdiff completion tcsh > ~/.devdiff.completion.csh

The script is static: a shell that has read it completes without starting devdiff. Make it again
after an update.
"""
SHELLS: Final = ("bash", "zsh", "fish", "tcsh")


def add_arguments(parser: Parser) -> None:
    parser.group("shell").add_argument("shell", choices=SHELLS, help="for which shell")


def run(args: argparse.Namespace) -> int:
    import shtab

    from devdiff.cli.main import parser

    top = parser()
    for leaf in top.leaves():
        for action in leaf._actions:
            found = _completer(action)
            if found is not None:
                action.complete = found  # type: ignore[attr-defined]
    # Its annotation is narrower than what it takes.
    print(shtab.complete(top, shell=args.shell, preamble=_preamble()))  # type: ignore[arg-type]
    return 0


def _completer(action: argparse.Action) -> Any:
    """What may stand behind an option, as shtab takes it; None where nothing is known."""
    import shtab

    from devdiff.cli.parsing import MODEL_SUFFIXES

    option = next(iter(action.option_strings), action.dest)
    if action.choices or action.nargs == 0:
        return None
    if option == "model":
        return shtab.glob(*(f"*{suffix}" for suffix in MODEL_SUFFIXES))
    if option in ("reference", "candidate") or action.metavar == "DIR":
        return shtab.DIRECTORY
    if option in _words():
        return _named(option)
    return shtab.FILE if action.type is Path or option == "--runtime" else None


def _words() -> Mapping[str, Iterable[str]]:
    """Names that an option takes, where no parser has them as its choices."""
    from devdiff.device_runner.host.host_runner import DISTRIBUTIONS, KERNELS
    from devdiff.device_runner.virtual.hardware import CPUS
    from devdiff.exporter.recipe import BUILTIN, PruningMethod
    from devdiff.tasks.kinds import KINDS

    runtimes = [f"{name}:{kernels}" for name in DISTRIBUTIONS for kernels in KERNELS]
    return {
        "--recipe": BUILTIN,
        "--compress": [*BUILTIN, "none", *(f"{method}:" for method in get_args(PruningMethod))],
        "--device": ["local", "none", "virtual", *(f"virtual:{cpu}" for cpu in CPUS)],
        "--cpu": CPUS,
        "--host-runtime": [*DISTRIBUTIONS, *runtimes],
        "--task": KINDS,
    }


def _named(option: str) -> dict[str, str]:
    """The completer of these names."""
    words = " ".join(_words()[option])
    return {"bash": _function(option), "zsh": f"({words})", "fish": words, "tcsh": f"({words})"}


def _function(option: str) -> str:
    return f"_devdiff{option.replace('-', '_')}"


def _preamble() -> dict[str, str]:
    """The functions behind bash's completers; a recipe may be a file, too."""
    functions = []
    for option, words in _words().items():
        lines = [f'compgen -W "{" ".join(words)}" -- "$1"']
        if option == "--recipe":
            lines += ["compgen -f -X '!*.json' -- \"$1\"", 'compgen -d -- "$1"']
        functions.append("\n  ".join([f"{_function(option)}() {{", *lines]) + "\n}")
    return {"bash": "\n".join(functions)}
