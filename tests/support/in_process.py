"""LiteRT in the tests' own process: what `HostRunner` runs, without a process for each cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from devdiff.device_runner.pack import (
    Header,
    PackTensor,
    Status,
    encode_done,
    encode_header,
    encode_record,
)
from devdiff.device_runner.runner import Job, Outcome
from devdiff.exporter.artifact import Array
from devdiff.exporter.tflite_graph import Graph, read_graph

Spoil = Callable[[Graph, list[Array]], list[Array]]


@dataclass
class InProcess:
    """A runner. ``spoil`` is a device's fault: what it makes of a model's outputs, or its failure.

    ``inputs`` are the first input's bytes of every run, ``models`` the files' operator counts.
    """

    spoil: Spoil = lambda graph, outputs: outputs
    name: str = "in-process"
    models: list[int] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)

    def identity(self) -> Mapping[str, Any]:
        return {"runtime": "litert", "kernels": "builtin"}

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        graph = read_graph(Path(job.model))
        self.models.append(len(graph.operators))
        interpreter = Interpreter(
            str(job.model),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            num_threads=1,
        )
        interpreter.allocate_tensors()
        takes = {details["name"]: details["index"] for details in interpreter.get_input_details()}
        gives = interpreter.get_output_details()
        about = {"runtime": "litert", "runtime_version": "in process", "arch": "here"}
        table = tuple(
            PackTensor(d["name"], np.dtype(d["dtype"]).name, tuple(map(int, d["shape"])))
            for d in gives
        )
        parts = [encode_header(Header(about, table))]
        for index in range(job.samples):
            values = job.encode(index)
            self.inputs.append(values[0].tobytes())
            for tensor, value in zip(job.tensors, values, strict=True):
                interpreter.set_tensor(takes[tensor.name], value)
            interpreter.invoke()
            outputs = [interpreter.get_tensor(details["index"]) for details in gives]
            try:
                record = encode_record(index, self.spoil(graph, outputs))
            except RuntimeError as error:
                record = encode_record(index, status=Status.FAILED, message=str(error))
            parts.append(record)
            progress(index + 1)
        job.results.write_bytes(b"".join([*parts, encode_done(job.samples)]))
        return Outcome(about, 0)
