"""A folder that shows one operator's difference to somebody else."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.bisection import standalone
from devdiff.bisection.side_by_side import ROLES, Bench, PartRun, Role, short
from devdiff.exporter.artifact import Array, Binding, sha256_file
from devdiff.exporter.tflite_cut import quantization
from devdiff.ladder.run_directory import write_json
from devdiff.system.typed_json import fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Small enough for a bug report; a single sample may need more.
_BUDGET_BYTES: Final = 4 << 20
_SAMPLES: Final = 3


def name_of(bench: Bench, operators: Sequence[int]) -> str:
    """``op_017_CONV_2D``, or ``ops_015-017`` for several."""
    if len(operators) == 1:
        kind = bench.flow.operator(operators[0]).kind
        return f"op_{operators[0]:03}_{kind}"
    return f"ops_{min(operators):03}-{max(operators):03}"


def write(
    bench: Bench,
    operators: Sequence[int],
    inputs: Sequence[int],
    outputs: Sequence[int],
    folder: Path,
) -> Path:
    """Write the repro of a part that was run alone into a new folder of ``folder``.

    Returns the folder; what an interrupted run left there is replaced.
    """
    kept = bench.kept(inputs, outputs)
    name = name_of(bench, operators)
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    models = _models(kept, name, target)
    chosen = _samples(kept)
    environment: dict[str, Any] = {
        "devdiff": importlib.metadata.version("devdiff"),
        "operators": ", ".join(_words(bench, index) for index in operators),
        "samples": len(chosen),
        "failure": kept.failure,
        "inputs": [],
        "outputs": [],
    }
    for place, (index, binding) in enumerate(
        zip(inputs, kept.parts["reference"].inputs, strict=True)
    ):
        file = f"input_{place}.npy"
        np.save(target / file, kept.inputs[index][chosen])
        environment["inputs"].append({**_tensor(bench, index, binding), "file": file})
    for place, (index, binding) in enumerate(
        zip(outputs, kept.parts["reference"].outputs, strict=True)
    ):
        entry = _tensor(bench, index, binding)
        for role in ROLES:
            entry[role] = None
            if index in kept.outputs[role]:
                entry[role] = f"{role}_output_{place}.npy"
                np.save(target / entry[role], kept.outputs[role][index][chosen])
        environment["outputs"].append(entry)
    for role in ROLES:
        environment[role] = _ran(bench, kept, role, models[role])
    environment["files"] = {
        path.name: sha256_file(path) for path in sorted(target.iterdir()) if path.is_file()
    }
    shutil.copyfile(Path(standalone.__file__), target / "repro.py")
    write_json(target / "environment.json", environment)
    (target / "README.md").write_text(_readme(name, environment))
    return target


def _models(kept: PartRun, name: str, target: Path) -> dict[Role, str]:
    """One .tflite, or one for each side where they are not the same."""
    files: dict[Role, str] = {"reference": f"{name}.tflite", "candidate": f"{name}.tflite"}
    (target / files["reference"]).write_bytes(kept.parts["reference"].data)
    if kept.parts["candidate"].data != kept.parts["reference"].data:
        files["candidate"] = f"{name}.candidate.tflite"
        (target / files["candidate"]).write_bytes(kept.parts["candidate"].data)
    return files


def _samples(kept: PartRun) -> list[int]:
    """The samples that differ most, as many as stay small."""
    count = len(next(iter(kept.inputs.values())))
    if kept.failure is not None:
        return list(range(min(_SAMPLES, count)))
    apart = np.zeros(count)
    for index, left in kept.outputs["reference"].items():
        apart = np.maximum(apart, _distance(left, kept.outputs["candidate"][index]))
    arrays = [*kept.inputs.values(), *(a for made in kept.outputs.values() for a in made.values())]
    each = max(1, sum(array.nbytes for array in arrays) // count)
    keep = max(1, min(_SAMPLES, _BUDGET_BYTES // each))
    order = np.argsort(-apart, kind="stable")[:keep]
    return sorted(int(row) for row in order if apart[row] > 0 or row == order[0])


def _distance(left: Array, right: Array) -> Array:
    """The largest difference of each sample [N]; what is not finite is infinitely far."""
    apart = np.abs(left.astype(np.float64) - right.astype(np.float64))
    found: Array = np.nan_to_num(apart, nan=np.inf).reshape(len(left), -1).max(axis=1)
    return found


def _words(bench: Bench, index: int) -> str:
    operator = bench.flow.operator(index)
    made = short(bench.flow.tensor(operator.outputs[0]).name)
    return f"#{index} {operator.kind} {made!r}"


def _tensor(bench: Bench, index: int, binding: Binding) -> dict[str, Any]:
    known = bench.flow.tensor(index)
    grid = quantization(known)
    return {
        "name": binding.artifact.name,
        "dtype": known.dtype,
        "shape": list(known.shape),
        "scale": grid.scale if grid else None,
        "zero_point": grid.zero_point if grid else None,
    }


def _ran(bench: Bench, kept: PartRun, role: Role, model: str) -> dict[str, Any]:
    side, result = bench.sides[role], kept.results[role]
    ran = fields(side.ran(result))
    return ran | {"model": {"file": model, "sha256": result.sha256}, "of": ran["model"]}


def _readme(name: str, environment: Mapping[str, Any]) -> str:
    def side(role: str) -> str:
        ran = environment[role]
        about = ran["about"]
        library = ran["identity"].get("library") or {}
        version = about.get("runtime_version") or library.get("version") or "version unknown"
        parts = [
            f"{about.get('runtime') or library.get('origin') or about.get('api')} {version}",
            f"delegate {about.get('delegate')}",
            f"CPU {about.get('arch')} {about.get('cpu') or ''}".strip(),
            f"features {' '.join(about.get('cpu_features') or ()) or 'unknown'}",
        ]
        return f"- **{role}**, {ran['name']}: {', '.join(parts)}"

    tensors = "\n".join(
        f"- `{tensor['file']}`: {tensor['name']!r}, {tensor['dtype']}{tensor['shape']}"
        for tensor in environment["inputs"]
    )
    outputs = "\n".join(
        f"- {', '.join(f'`{tensor[role]}`' for role in ROLES if tensor[role])}: "
        f"{tensor['name']!r}, {tensor['dtype']}{tensor['shape']}"
        for tensor in environment["outputs"]
    )
    failed = f"\n\nThe candidate fails: {environment['failure']}" if environment["failure"] else ""
    return f"""# {name}: two places compute it differently

{environment["operators"]}, cut out of `{environment["reference"]["of"]["file"]}`
(SHA-256 {environment["reference"]["of"]["sha256"]}), fed with the same stored values on both sides.

{side("reference")}
{side("candidate")}{failed}

This shows the difference again, and what this machine computes; it needs numpy and ai-edge-litert:

```sh
python repro.py
```

Every array has the samples first ({environment["samples"]} of them), values as stored.

{tensors}
{outputs}
- `environment.json`: versions, processors, hashes, scales and zero points
"""
