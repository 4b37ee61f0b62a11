"""What a test-suite gets in its hands: runs and checks that can say they passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devdiff.errors import NotTestedError
from devdiff.exporter import recipe as recipes
from devdiff.exporter.compression import Compression, with_recipes
from devdiff.gate import config_file
from devdiff.gate.check import CheckOutcome, run_check
from devdiff.gate.config import Config
from devdiff.gate.summary import AgreementSummary, Facts
from devdiff.inputs.input_set import InputRequest
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder.pipeline import export_and_test
from devdiff.ladder.request import LadderRequest
from devdiff.options import (
    DEFAULT_GATES,
    DEFAULT_RUNNING,
    SEED,
    Delegate,
    Gates,
    ModelSpec,
    Running,
    ScanSettings,
)
from devdiff.report.model import Report
from devdiff.tasks.request import TaskRequest
from devdiff.verdict import Verdict

PathLike = str | Path


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: ``report`` is its report.json, ``directory`` where everything lies."""

    report: Report
    directory: Path
    facts: Facts

    @property
    def verdict(self) -> Verdict:
        return self.facts.verdict

    @property
    def agreement(self) -> float | None:
        """Top-1 agreement of the last rung with the first, 0 to 1; None without class scores."""
        found = self.facts.agreement
        return found.rate if found else None

    def step(self, name: str) -> AgreementSummary | None:
        """The agreement of a step by name (``compression``, ``deployment``), if it has one.

        Raises `KeyError` when the run has no such step.
        """
        steps = {step.step: step.agreement for step in self.facts.steps}
        return steps[name]

    def assert_passed(self, allow_inconclusive: bool = False) -> None:
        """Raises `AssertionError` with the step, the output, what was seen and what was allowed.

        Raises `NotTestedError` when something could not run: that is no failed expectation. What
        too few samples left undecided fails unless allowed.
        """
        __tracebackhide__ = True
        model = self.report.model.name
        _settle(self.verdict, "\n".join(_verdict_lines(model, self)), allow_inconclusive)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A finished check of one model; ``results`` are its runs by the name of their cell."""

    outcome: CheckOutcome
    results: Mapping[str, Result]

    @property
    def verdict(self) -> Verdict:
        return self.outcome.verdict

    @property
    def directory(self) -> Path:
        return self.outcome.directory

    def assert_passed(self, allow_inconclusive: bool = False) -> None:
        """As `Result.assert_passed`, for every cell; with a baseline, only what got worse."""
        __tracebackhide__ = True
        lines = [self.outcome.record.summary]
        for cell in self.outcome.record.cells:
            if cell.gate is Verdict.PASS:
                continue
            if cell.refused is not None:
                lines.append(f"{cell.name}: {cell.refused}")
            elif cell.baseline:
                lines += [
                    f"{cell.name}: {change.kind} {change.where}: {change.text}"
                    for change in cell.changes
                    if change.kind in ("error", "incomparable", "worse")
                ]
            elif cell.name in self.results:
                lines += _verdict_lines(cell.name, self.results[cell.name])
            else:
                lines.append(f"{cell.name}: {cell.summary}")
        _settle(self.verdict, "\n".join(lines), allow_inconclusive)


@dataclass(frozen=True, slots=True)
class Tests:
    """What the fixture ``devdiff`` is.

    ``device`` stands in where a test names none; ``config`` None finds the configuration from
    ``start`` upward. Runs are kept under ``runs``.
    """

    __test__ = False

    start: Path
    runs: Path
    device: str | None = None
    config: Path | None = None

    def export_and_test(
        self,
        model: PathLike,
        *,
        inputs: PathLike | None = None,
        labels: PathLike | None = None,
        classes: PathLike | None = None,
        calibration: PathLike | None = None,
        preprocess: str = "",
        seed: int = SEED,
        source: PathLike | None = None,
        floating: PathLike | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        signature: str | None = None,
        trust: bool = False,
        compress: str | None = None,
        recipe: str | None = None,
        device: str | None = None,
        host_runtimes: Sequence[str] = (),
        runtime: str | None = None,
        delegate: Delegate = DEFAULT_RUNNING.delegate,
        threads: int = DEFAULT_RUNNING.threads,
        min_agreement: float = DEFAULT_GATES.min_agreement,
        min_snr: float = DEFAULT_GATES.min_snr_db,
        max_lsb: int = DEFAULT_GATES.max_lsb,
        exact: bool = False,
        atol: float | None = None,
        rtol: float | None = None,
        classifiers: Sequence[str] = (),
        task: str | None = None,
        truth: PathLike | None = None,
        max_drop: float | None = None,
        scan: bool | ScanSettings = False,
    ) -> Result:
        """``devdiff export-and-test``, its options by their names; paths as Python opens them.

        Raises the errors of `devdiff.ladder.pipeline.export_and_test`.
        """
        if scan is True:
            scan = ScanSettings(seed=seed)
        compressions = with_recipes(
            () if compress is None else (Compression.parse(compress),),
            () if recipe is None else (recipes.parse(recipe),),
        )
        request = LadderRequest(
            model=ModelSpec(
                Path(model),
                source=_path(source),
                floating=_path(floating),
                shapes={name: tuple(dims) for name, dims in (shapes or {}).items()},
                signature=signature,
                trust=trust,
            ),
            compression=next(iter(compressions), None),
            data=InputRequest(
                inputs=_path(inputs),
                labels=_path(labels),
                classes=_path(classes),
                calibration=_path(calibration),
                preprocess=Preprocess.parse(preprocess),
                seed=seed,
            ),
            running=Running(
                device=device or self.device,
                host_runtimes=tuple(host_runtimes),
                runtime=runtime,
                delegate=delegate,
                threads=threads,
            ),
            gates=Gates(
                atol=() if atol is None else (repr(atol),),
                rtol=() if rtol is None else (repr(rtol),),
                min_agreement=min_agreement,
                min_snr_db=min_snr,
                max_lsb=max_lsb,
                exact=exact,
                classifiers=tuple(classifiers),
            ),
            task=TaskRequest.of(task, _path(truth), max_drop),
            scan=scan or None,
        )
        return self.test(request)

    def test(self, request: LadderRequest) -> Result:
        """Run a request that was built by hand."""
        outcome = export_and_test(request, root=self.runs)
        return Result(outcome.report, outcome.directory, Facts.of(outcome.report))

    def check(self, name: str) -> CheckResult:
        """``devdiff check NAME``: one model of the configuration, on all its devices.

        A baseline that the configuration names holds here, too. Raises `UsageError`.
        """
        from devdiff.gate.baseline_file import Baseline

        config = Config.load(self.config or config_file.find(self.start))
        devices = (self.device,) if self.device else ()
        cells = [cell for entry in config.chosen([name], devices) for cell in entry.cells()]
        outcome = run_check(
            cells,
            root=self.runs,
            held_to=Baseline.load(config.baseline) if config.baseline else None,
            rules=config.rules,
            config=config.path,
        )
        return CheckResult(outcome, dict(_results(outcome)))


def _results(outcome: CheckOutcome) -> Iterator[tuple[str, Result]]:
    from devdiff.report import load

    for cell in outcome.record.cells:
        if cell.report is not None:
            report = outcome.directory / cell.report
            yield (
                cell.name,
                Result(load.load(report), report.parent, outcome.facts[cell.name]),
            )


def _path(value: PathLike | None) -> Path | None:
    return None if value is None else Path(value)


def _verdict_lines(name: str, result: Result) -> Iterator[str]:
    """The verdict and every reason against it."""
    facts = result.facts
    yield f"{name}: {facts.verdict.value}: {facts.summary}"
    for step in facts.steps:
        if step.verdict is not Verdict.PASS:
            yield from (f"  {step.title}: {reason}" for reason in step.reasons)
    yield f"  report: {result.directory / 'report.json'}"


_RAISED: Mapping[Verdict, Callable[[str], Exception]] = {
    Verdict.ERROR: NotTestedError,
    Verdict.FAIL: AssertionError,
    Verdict.FINDING: AssertionError,
    Verdict.INCONCLUSIVE: AssertionError,
}


def _settle(verdict: Verdict, text: str, allow_inconclusive: bool) -> None:
    __tracebackhide__ = True
    if verdict is Verdict.PASS or (verdict is Verdict.INCONCLUSIVE and allow_inconclusive):
        return
    raise _RAISED[verdict](text)
