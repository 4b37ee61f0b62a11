"""``devdiff attest``: a finished run as signed evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import evidence, output, verified
from devdiff.system.printable import printable

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "attest"
HELP: Final = "sign what a finished run found, as an in-toto statement that others can check"
EXAMPLES: Final = """\
examples:
  devdiff attest --new-key key.pem
  devdiff attest devdiff-runs/20260101-120000-model --key key.pem
  devdiff attest report.json --key key.pem --out statement.dsse.json --html signed.html

The statement names what was tested by SHA-256, and says how it went; a run that failed can be
signed, too, and does not verify as passed; its result is WARNED where it passed on synthetic
samples, or on fewer than --min-samples. Keys are ed25519 in PEM; one that is encrypted is opened
with DEVDIFF_KEY_PASSPHRASE, and --new-key encrypts with it where it is set.
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "report", type=Path, nargs="?", metavar="RUN_DIR|report.json", help="what is signed"
    )
    key = parser.group("key").add_mutually_exclusive_group(required=True)
    key.add_argument("--key", type=Path, metavar="FILE", help="private key that signs")
    key.add_argument(
        "--new-key",
        type=Path,
        metavar="FILE",
        help="make a pair of keys: FILE, which is to be kept secret, and the public one beside it",
    )
    evidence.add(parser)
    verified.add(parser)
    output.add_out(
        parser,
        "where the statement goes (default: statement.dsse.json beside the report)",
        metavar="FILE",
    )
    output.add_json(parser, "print what was made as JSON")
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.attestation import keys, sign
    from devdiff.attestation.check import Attested
    from devdiff.cli import console, pages
    from devdiff.errors import UsageError
    from devdiff.package.verification import Verification

    secret = keys.passphrase()
    if args.new_key is not None:
        if any((args.report, args.out, args.html, args.junit, args.sarif, args.open)):
            raise UsageError("--new-key makes keys and signs nothing: sign with --key afterwards")
        public = keys.make(args.new_key, secret)
        made = {
            "private_key": str(args.new_key),
            "public_key": str(public),
            "encrypted": bool(secret),
        }
        if args.json:
            print(json.dumps(made, indent=2))
        elif args.verbosity != output.QUIET:
            how = f"encrypted with {keys.PASSPHRASE}" if secret else "not encrypted"
            print(f"private key: {args.new_key} ({how}; keep it secret)\npublic key: {public}")
        return 0
    if args.report is None:
        raise UsageError("name the run directory or the report.json that is to be signed")
    page = verified.chosen(args, "attest")
    required = evidence.of(args)
    signed = sign.attest(args.report, keys.signer(args.key, secret), args.out, required)
    predicate = signed.statement.predicate
    verdict = predicate.devdiff.verdict
    statement = Attested(str(signed.path), signed.statement, signed.keyid, verdict)
    verified.write(args, Verification(None, (statement,), required), page)
    if args.json:
        subjects = {entry.name: entry.digest.sha256 for entry in signed.statement.subject}
        made = {"statement": str(signed.path), "verdict": verdict, "keyid": signed.keyid}
        made["result"] = predicate.result
        print(json.dumps({**made, "subjects": subjects}, indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(verdict, str(signed.path))
    else:
        for subject in signed.statement.subject:
            print(f"{subject.digest.sha256}  {printable(subject.name)}")
        print(f"verdict: {verdict}")
        for warning in predicate.warned_tests:
            print(f"result: {predicate.result}, {printable(warning)}")
        print(f"statement: {signed.path}\nkey: {signed.keyid}")
        pages.name(page, console.stdout())
    pages.show(page, args)
    return 0
