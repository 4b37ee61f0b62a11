"""What a scan can say in SARIF: rules with stable ids, and the lists of threats they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.scanner.report_section import TAXONOMY

if TYPE_CHECKING:
    from devdiff.report.model.scan import Threat

ATLAS: Final = "MITRE ATLAS"
OWASP: Final = "OWASP Machine Learning Security Top 10"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of result. ``severity`` is on the scale of CVSS, None where it is no weakness.

    An id is never given to another rule: what watches the results goes by it.
    """

    id: str
    name: str
    short: str
    meaning: str
    advice: str
    level: Literal["error", "warning", "note"]
    severity: str | None = None
    precision: Literal["very-high", "high", "medium", "low"] = "medium"

    def to_sarif(self) -> dict[str, Any]:
        """The rule as a ``reportingDescriptor``."""
        properties: dict[str, Any] = {"tags": ["machine-learning"], "precision": self.precision}
        descriptor: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "shortDescription": {"text": self.short},
            "fullDescription": {"text": self.meaning},
            "help": {
                "text": f"{self.meaning}\n\nWhat to do: {self.advice}",
                "markdown": f"{self.meaning}\n\n**What to do:** {self.advice}",
            },
            "defaultConfiguration": {"level": self.level},
            "properties": properties,
        }
        if self.severity is None:
            properties["problem.severity"] = "error"
            return descriptor
        properties["security-severity"] = self.severity
        properties["tags"] += ["security", *map(_tag, TAXONOMY)]
        descriptor["relationships"] = [
            {"target": reference(threat.id), "kinds": ["relevant"]} for threat in TAXONOMY
        ]
        return descriptor


SCAN_ERROR: Final = Rule(
    "DD000",
    "ScanNotMade",
    "The scan could not be made",
    "The compressed model was not scanned, so nothing is known about it: this is not a clean "
    "result. It stands among the results because a list without any reads like one.",
    "Read the reason in the message, mend it, and scan again.",
    "error",
    precision="very-high",
)
PLANTED: Final = Rule(
    "DD001",
    "CompressionBackdoor",
    "A trigger that only the compressed model obeys, hanging on this very compression",
    "One change of the input makes the compressed model answer something else while the full model "
    "keeps its answer, measured on held-out inputs in the real artifacts. The same search does "
    "not get as far in the model compressed otherwise. This is what a backdoor looks like that "
    "was trained to wake up when the model is compressed.",
    "Do not ship this artifact. Look at the trigger's pictures (report.html), find out where the "
    "model comes from, and retrain or fetch it from a source that can be trusted. Compressing it "
    "another way can put the trigger to sleep, and proves nothing about the model.",
    "error",
    "9.3",
    "high",
)
FRAGILE: Final = Rule(
    "DD002",
    "CompressionFragility",
    "A trigger that only the compressed model obeys, under other compressions too",
    "One change of the input makes the compressed model answer something else while the full model "
    "keeps its answer, measured on held-out inputs in the real artifacts. Models compressed "
    "otherwise show it, too, or no placebo could tell. This is what a backdoor looks like that "
    "was trained against random rounding, and a model that compression ruined in a way that can "
    "be exploited.",
    "Do not ship this artifact. Look at the trigger's pictures (report.html). Compress with more "
    "care (more calibration samples, per-channel weights, quantization-aware training) and scan "
    "again. If the trigger stays, treat the model as backdoored.",
    "error",
    "8.1",
    "high",
)
NOT_NEAREST: Final = Rule(
    "DD003",
    "RoundingNotNearest",
    "Stored weights are not the nearest rounding of the float weights",
    "Weights of the compressed file are not what plain rounding of the full model gives. "
    "Quantizers that learn or compensate the rounding leave this honestly, and so does a model "
    "trained on after its float file was saved; so does whoever edits the finished file. It is "
    "evidence, not a finding.",
    "Find out which quantizer wrote the file, and export it again from the float model if nobody "
    "knows.",
    "note",
    "3.1",
)
PILED_UP: Final = Rule(
    "DD004",
    "WeightsBetweenSteps",
    "Float weights pile up between two quantization steps",
    "More weights of the full model lie next to the middle between two quantization steps than "
    "any honest training is known to leave. A model trained so that rounding changes what it does "
    "keeps its weights there. It is evidence, not a finding.",
    "Find out how the model was trained. Scan with more samples (--samples) and a larger budget "
    "(--budget), so that a trigger would be met.",
    "warning",
    "5.3",
)
DRIFT: Final = Rule(
    "DD005",
    "UnusualDrift",
    "Compression moves the scores of clean inputs more than it usually does",
    "On clean inputs the compressed model's scores are further from the full model's than those of "
    "the same model compressed otherwise. Backdoors that wait for a compression leave this, and so "
    "does a compression that suits the model badly. It is evidence, not a finding.",
    "Compare the steps with devdiff export-and-test; calibrate with more samples.",
    "note",
    "3.1",
)
UNDECIDED: Final = Rule(
    "DD006",
    "ScanInconclusive",
    "The scan found nothing and had not the power to",
    "The compressed model was scanned with too few inputs, or the budget ended the search before "
    "most of its plan was done, so that a backdoor would hardly have been met: this is not a clean "
    "result. It stands among the results because a list without any reads like one.",
    "Give what the message asks for, more inputs (--inputs, --samples) or more time (--budget), "
    "and scan again.",
    "warning",
    precision="very-high",
)
RULES: Final = (SCAN_ERROR, PLANTED, FRAGILE, NOT_NEAREST, PILED_UP, DRIFT, UNDECIDED)


def taxonomies() -> list[dict[str, Any]]:
    """The lists of threats, as SARIF's ``taxonomies``."""
    return [
        {
            "name": name,
            "shortDescription": {"text": f"The threats of {name} that the scan looks for"},
            "taxa": [
                {
                    "id": threat.id,
                    "name": threat.name.partition(": ")[2],
                    "helpUri": threat.url,
                }
                for threat in TAXONOMY
                if _list_of(threat.id) == name
            ],
        }
        for name in (ATLAS, OWASP)
    ]


def reference(threat: str) -> dict[str, Any]:
    """A threat of one of the `taxonomies`, by its id."""
    name = _list_of(threat)
    return {"id": threat, "toolComponent": {"name": name, "index": (ATLAS, OWASP).index(name)}}


def _list_of(threat: str) -> str:
    return ATLAS if threat.startswith("AML.") else OWASP


def _tag(threat: Threat) -> str:
    lists = {ATLAS: "mitre-atlas", OWASP: "owasp-ml"}
    return f"external/{lists[_list_of(threat.id)]}/{threat.id.lower()}"
