"""What ``devdiff verify`` can say in SARIF: rules with stable ids."""

from __future__ import annotations

from typing import Final

from devdiff.report.rules import Rule

UNTESTED: Final = Rule(
    "DV001",
    "ModelNotTested",
    "A model in the package was not tested",
    "No run that counts ended with this very file, by its SHA-256: it was exported again, came "
    "with a library, or is of a kind that devdiff cannot test.",
    "Test it with devdiff export-and-test and give the run with --report, or allow it by its hash.",
    "error",
    precision="very-high",
)
NOT_PASSED: Final = Rule(
    "DV002",
    "ModelNotPassed",
    "A model in the package was tested and did not pass",
    "The run that tested this very file came to another verdict than pass.",
    "Look at the run's page for the step that changed the answers.",
    "error",
    precision="very-high",
)
EVIDENCE_REFUSED: Final = Rule(
    "DV003",
    "EvidenceRefused",
    "A report that was given contradicts itself",
    "It was changed after its run, or is damaged. It may have spoken against a model.",
    "Take the run's own report, or run the test again.",
    "error",
    precision="very-high",
)
STATEMENT: Final = Rule(
    "DV004",
    "StatementNotPassed",
    "A signed statement does not say that a test passed",
    "The signature fits; the run that was signed failed, was undecided, or stands on too little.",
    "Sign a run that passed on enough real samples.",
    "error",
    precision="very-high",
)
RUNTIME: Final = Rule(
    "DV005",
    "RuntimeNotTested",
    "A runtime library in the package is not one that a test ran with",
    "Another build of the runtime may compute other answers.",
    "Test on a phone with --runtime and this package.",
    "warning",
)
PAGES: Final = Rule(
    "DV006",
    "PagesTooSmall",
    "A native library cannot be loaded with pages of 16 KiB",
    "Phones with such pages cannot load it, and Google Play refuses apps for Android 15 that have "
    "one.",
    "Take a newer release of it, or link and align it for pages of 16 KiB.",
    "warning",
    precision="very-high",
)
STORAGE: Final = Rule(
    "DV007",
    "ModelNotMappable",
    "A model is stored so that it cannot be mapped into memory",
    "It is compressed or not aligned in the .apk, so that it takes its size in memory again.",
    "Exempt its suffix from compression, and align the package.",
    "note",
    precision="very-high",
)
DEVICE: Final = Rule(
    "DV008",
    "ModelNotTestedOnPhone",
    "A model was tested on no phone",
    "Its test ran on the host or on this machine only.",
    "Test it on a phone: devdiff export-and-test --device.",
    "note",
    precision="very-high",
)
ALLOWED: Final = Rule(
    "DV009",
    "ModelAllowedUntested",
    "A model ships untested, as was allowed",
    "It was named with --allow, or in the configuration.",
    "Allow it by its hash, so that it cannot change.",
    "note",
    precision="very-high",
)
SKIPPED: Final = Rule(
    "DV010",
    "PlaceSkipped",
    "A place in the package was not looked at",
    "It was named with --skip, or in the configuration.",
    "Look at it, unless it is known to hold no model.",
    "note",
    precision="very-high",
)
UNREAD: Final = Rule(
    "DV011",
    "ArchiveNotRead",
    "A file in the package is packed in a way that devdiff does not look into",
    "It may hold models that nobody saw.",
    "Pack it in a way that can be read, or name it with --skip.",
    "warning",
    precision="very-high",
)
RULES: Final = (
    UNTESTED,
    NOT_PASSED,
    EVIDENCE_REFUSED,
    STATEMENT,
    RUNTIME,
    PAGES,
    STORAGE,
    DEVICE,
    ALLOWED,
    SKIPPED,
    UNREAD,
)
"""An id is never given to another rule."""
