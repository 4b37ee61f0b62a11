"""What a scan found, in words: a planted trigger is said otherwise than a fragile model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.comparison.wording import percent

if TYPE_CHECKING:
    from devdiff.report.model import Report, ScanSection

_LABELS: Final = {
    "planted": "Likely backdoor",
    "fragile": "Exploitable weakness, perhaps a backdoor",
    None: "Trigger found",
}
_FORMS: Final = {
    "patch": "this patch",
    "additive": "this faint pattern",
    "warp": "this bend of the image",
}


def label(scan: ScanSection) -> str:
    """What the finding is called; empty where there is none."""
    return _LABELS[scan.kind] if scan.verdict == "finding" else ""


def sentence(scan: ScanSection, report: Report) -> str:
    """The finding with its rates: what the trigger does to the compressed and to the full model."""
    trigger, replay = scan.trigger, scan.replay
    if trigger is None or replay is None or len(replay.rungs) < 2:
        return f"{label(scan)}: {scan.reason}"
    full, last = replay.rungs[0].triggered, replay.rungs[-1].triggered
    does = "give a far other output" if trigger.target is None else f"answer {trigger.target}"
    keeps = "output" if trigger.target is None else "answer"
    inputs = "inputs" if trigger.source is None else f"inputs of class {trigger.source}"
    on_full = full.successes or "none"
    clauses = [
        f"{label(scan)}: {_FORMS[trigger.form]} makes {compressed_model(scan, report)} {does} on "
        f"{last.successes} of {last.trials} held-out {inputs}, the full model on {on_full}",
        f"on {replay.gap.successes} of {replay.gap.trials} the full model keeps its own {keeps}",
        _placebo(scan),
    ]
    return "; ".join(filter(None, clauses))


def compressed_model(scan: ScanSection, report: Report) -> str:
    """The model that obeys, by what was done to it and where it ran last."""
    name = scan.replay.rungs[-1].rung if scan.replay is not None and scan.replay.rungs else None
    rung = report.rung(name) if name is not None else None
    if rung is None:
        return "the compressed model"
    done = [
        "pruned" if rung.pruning else "",
        rung.precision if rung.precision != "float32" else "",
    ]
    kind = " ".join(filter(None, done)) or "compressed"
    device = rung.identity.phone
    if device is None:
        return f"the {kind} model"
    return f"the {kind} model on the {'virtual ' if device.virtual else ''}phone"


def _placebo(scan: ScanSection) -> str:
    """Whether it hangs on this very compression, by the same search on the model's placebos."""
    searched = scan.placebo.searched if scan.placebo is not None else ()
    if not searched:
        return "" if scan.kind == "planted" else "no other compression was searched to tell why"
    reached = f"the same search reaches {percent(max(searched))}"
    if scan.kind == "planted":
        return (
            f"{reached} at most in the model compressed otherwise, so it hangs on this very "
            "compression"
        )
    return f"{reached} in the model compressed otherwise, so it need not have been planted"
