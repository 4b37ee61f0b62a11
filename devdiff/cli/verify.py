"""``devdiff verify``: whether models, in a package or by themselves, are those that were tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import evidence, output, verified

if TYPE_CHECKING:
    import argparse

    from devdiff.attestation.check import Attested
    from devdiff.cli.parsing import Parser
    from devdiff.package import PackageCheck

NAME: Final = "verify"
HELP: Final = "check before the store that every model in an app was tested, and check evidence"
EXAMPLES: Final = """\
examples:
  devdiff verify app.apk --report devdiff-runs/20260101-120000-model
  devdiff verify app.aab --report reader.json detector.json --strict-runtime --strict-pages
  devdiff verify app.xapk --report report.json --skip 'assets/vendor/*' --json
  devdiff verify app.apk --report report.json --allow 'assets/vendor/*.onnx'
  devdiff verify app.apk --report report.json --html verified.html --junit verified.xml
  devdiff verify app.apk --attestation statement.dsse.json --public-key key.pub.pem
  devdiff verify --attestation statement.dsse.json --public-key key.pub.pem \\
    --report report.json --artifact int8.tflite

Every model in the package is looked up by its SHA-256 among those that the reports tested. An
untested model is a fail (exit code 1), and so is one of another kind than .tflite, unless it is
allowed by name or hash; a tested one counts with its report's verdict, and the gravest verdict is
the package's. Runtime libraries, page sizes and compressed models are warnings.

A pass on synthetic samples, or on fewer than --min-samples, is no test of a model.

With --attestation, only what is signed with the key counts: the statements say what was tested, and
every --report must be one of those that were signed. A byte that was changed is a fail.
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "package",
        type=Path,
        nargs="?",
        metavar="PACKAGE",
        help="an .apk, .aab, .aar, .apks or .xapk; may be left out with --attestation",
    )
    parser.add_argument(
        "--report",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="RUN_DIR|report.json",
        help="what tested the models: finished runs; may be given more than once",
    )
    signed = parser.group("signed evidence (devdiff attest)")
    signed.add_argument(
        "--attestation",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="signed statements that say what was tested, in place of reports",
    )
    signed.add_argument(
        "--public-key", type=Path, metavar="FILE", help="the key that they must be signed with"
    )
    signed.add_argument(
        "--artifact",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="TFLITE",
        help="models that must be those that were tested",
    )
    parser.add_argument(
        "--strict-runtime",
        action="store_true",
        help="fail, too, when a runtime library in the package is not one a test ran with, or when "
        "there is none",
    )
    parser.add_argument(
        "--strict-pages",
        action="store_true",
        help="fail, too, when a native library cannot be loaded with pages of 16 KiB",
    )
    parser.add_argument(
        "--skip",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="places in the package not to look at, as 'assets/vendor/*': models and archives of "
        "others that cannot be tested or read; they are listed",
    )
    parser.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN|SHA256",
        help="models that may ship untested, by place, or by hash so that they cannot change; they "
        "are listed",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a devdiff.toml whose table [verify] is taken, too; none is looked for",
    )
    evidence.add(parser)
    verified.add(parser)
    output.add_json(parser, "print the result as JSON")
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.attestation import terminal as signed
    from devdiff.cli import console, pages
    from devdiff.gate.config import Config, PackageRules
    from devdiff.package import Strictness, Tested, terminal, verify_package
    from devdiff.package.verification import Verification

    _check_choice(args)
    page = verified.chosen(args, "verify")
    attested = _attested(args)
    rules = Config.load(args.config).package if args.config is not None else PackageRules()
    required = evidence.of(args, rules.requirements)
    skip, allow = [*args.skip, *rules.skip], [*args.allow, *rules.allow]
    check: PackageCheck | None = None
    if args.package is not None:
        tested = Tested() if attested else Tested.from_reports(args.report)
        for statement in attested:
            tested = tested.joined(statement.tested)
        strictness = Strictness(runtime=args.strict_runtime, pages=args.strict_pages)
        with console.Narrator(args.verbosity) as narrator:
            narrator.phase(f"reading {args.package.name}")
            check = verify_package(args.package, tested, strictness, skip, allow, required)
    held = tuple(str(path) for path in (*args.report, *args.artifact)) if attested else ()
    found = Verification(check, tuple(attested), required, held)
    verdict = found.verdict
    verified.write(args, found, page)
    if args.json:
        data = check.to_json() if check is not None else {}
        if attested:
            data |= {"verdict": verdict.value, "exit_code": verdict.exit_code}
            data["attestations"] = [
                {**checked.to_json(), "refused": checked.refusal(required)} for checked in attested
            ]
        print(json.dumps(data, indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(verdict.value, found.name)
    else:
        out = console.stdout()
        if attested:
            signed.show(attested, (*args.report, *args.artifact), required, out)
        if check is not None:
            terminal.show(check, out)
        pages.name(page, out)
        out.repeat(verdict.value, f"{found.name}: {found.summary}")
    pages.show(page, args)
    return verdict.exit_code


def _check_choice(args: argparse.Namespace) -> None:
    from devdiff.errors import UsageError

    if not args.attestation:
        if args.public_key is not None or args.artifact:
            raise UsageError("--public-key and --artifact are for a signed --attestation: name one")
        if args.package is None or not args.report:
            raise UsageError(
                "name the package and, with --report or --attestation, what tested its models"
            )
    elif args.public_key is None:
        raise UsageError("--attestation needs --public-key: whose signature is to be trusted")
    about_packages = (args.strict_runtime, args.strict_pages, args.skip, args.allow)
    if args.package is None and any(about_packages):
        raise UsageError(
            "--strict-runtime, --strict-pages, --skip and --allow are about a package: name it"
        )


def _attested(args: argparse.Namespace) -> list[Attested]:
    """The statements that were named, their signatures and the files beside them checked."""
    if not args.attestation:
        return []
    from devdiff.attestation import check

    attested = [check.read(path, args.public_key) for path in args.attestation]
    check.check_files(attested, args.report, args.artifact)
    return attested
