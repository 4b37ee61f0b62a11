"""The host runner process: ``python -m devdiff.device_runner.host.child``.

Speaks the native runner's protocol (an input pack in, a result pack out, one JSON object about
itself) for TensorFlow Lite interpreters in Python, and for source models in the framework they come
from. Only a child process imports this module.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import importlib.metadata
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.host.engine import Engine, RefusalError, check_tensor
from devdiff.device_runner.pack import (
    Header,
    PackSample,
    PackTensor,
    Status,
    encode_done,
    encode_header,
    encode_record,
    read_header,
    read_record,
)
from devdiff.device_runner.process import PARENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devdiff.exporter.artifact import Array

PROTOCOL: Final = 1
_PR_SET_PDEATHSIG: Final = 1
_INTERPRETERS: Final = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
}
_SOURCES: Final = ("onnxruntime", "torch", "keras", "tf-keras")


class TfLiteEngine(Engine):
    """A TensorFlow Lite interpreter: LiteRT's, tflite-runtime's or TensorFlow's."""

    def __init__(self, model: Path, runtime: str, kernels: str, threads: int) -> None:
        self._runtime, self._kernels, self._threads = runtime, kernels, threads
        module, distribution = _INTERPRETERS[runtime]
        interpreter = importlib.import_module(module)
        self._version = importlib.metadata.version(distribution)
        resolvers = interpreter.OpResolverType
        resolver = {
            "xnnpack": resolvers.AUTO,
            "builtin": resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": resolvers.BUILTIN_REF,
        }[kernels]
        try:
            self._interpreter = interpreter.Interpreter(
                str(model), experimental_op_resolver_type=resolver, num_threads=threads
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise RefusalError(
                f"{runtime} {self._version} cannot prepare the model: {reason}"
            ) from error
        for details in self._interpreter.get_input_details():
            try:
                self._interpreter.get_tensor(details["index"])
            except ValueError as error:
                # Some releases come back from a failed allocation as if it had been none.
                raise RefusalError(
                    f"{runtime} {self._version} cannot allocate the model's tensors: {error}"
                ) from error
        signatures = self._interpreter.get_signature_list()
        self._signature_names: dict[str, str] = {}
        if len(signatures) == 1:
            runner = self._interpreter.get_signature_runner(next(iter(signatures)))
            for details in (runner.get_input_details(), runner.get_output_details()):
                self._signature_names |= {d["name"]: name for name, d in details.items()}

    def about(self) -> dict[str, Any]:
        total, taken = self._delegated()
        applied = "xnnpack" if taken else "none"
        return {
            "api": "python",
            "runtime": self._runtime,
            "runtime_version": self._version,
            "kernels": self._kernels,
            "delegate": applied,
            "nodes_total": total,
            "nodes_delegated": taken,
            "threads": self._threads,
        }

    def _delegated(self) -> tuple[int, int]:
        """Operators in the model, and those a delegate node stands for."""
        operators = self._interpreter._get_ops_details()
        own = [o for o in operators if o["op_name"] != "DELEGATE"]
        producer = {int(t): o for o in own for t in o["outputs"]}
        taken: set[int] = set()
        for node in operators:
            if node["op_name"] != "DELEGATE":
                continue
            limits = {int(t) for t in node["inputs"]}
            todo = [int(t) for t in node["outputs"]]
            while todo:
                operator = producer.get(todo.pop())
                if operator is None or operator["index"] in taken:
                    continue
                taken.add(operator["index"])
                todo += [int(t) for t in operator["inputs"] if int(t) not in limits]
        return len(own), len(taken)

    def _tensor(self, details: Any) -> PackTensor:
        name = details["name"]
        return PackTensor(
            name,
            np.dtype(details["dtype"]).name,
            tuple(int(size) for size in details["shape"]),
            self._signature_names.get(name, ""),
        )

    def bind(self, tensors: Sequence[PackTensor]) -> None:
        inputs = {d["name"]: d for d in self._interpreter.get_input_details()}
        by_signature = {self._signature_names.get(name, name): d for name, d in inputs.items()}
        self._targets = []
        for tensor in tensors:
            details = inputs.get(tensor.name) or by_signature.get(tensor.signature_name)
            check_tensor(tensor, self._tensor(details) if details else None, list(inputs))
            assert details is not None
            self._targets.append(details["index"])
        if len(tensors) != len(inputs):
            raise RefusalError(f"the pack has {len(tensors)} inputs, the model {len(inputs)}")

    def outputs(self) -> tuple[PackTensor, ...]:
        self._outputs = self._interpreter.get_output_details()
        return tuple(self._tensor(details) for details in self._outputs)

    def invoke(self, arrays: Sequence[Array]) -> tuple[int, list[Array]]:
        for target, array in zip(self._targets, arrays, strict=True):
            self._interpreter.set_tensor(target, array)
        start = time.perf_counter_ns()
        self._interpreter.invoke()
        elapsed = time.perf_counter_ns() - start
        return elapsed, [self._interpreter.get_tensor(d["index"]) for d in self._outputs]


class OnnxEngine(Engine):
    """The source model in onnxruntime on the CPU."""

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._threads = threads
        self._version = onnxruntime.__version__
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise RefusalError(
                f"onnxruntime {self._version} cannot load the model: {reason}"
            ) from error

    def about(self) -> dict[str, Any]:
        return {
            "api": "python",
            "runtime": "onnxruntime",
            "runtime_version": self._version,
            "kernels": self._session.get_providers()[0],
            "threads": self._threads,
        }

    @staticmethod
    def _tensor(value: Any) -> PackTensor:
        names = {"float": "float32", "double": "float64"}
        element = value.type.removeprefix("tensor(").removesuffix(")")
        if element == value.type:
            raise RefusalError(f"{value.name} is a {value.type}, not a tensor")
        shape = tuple(size if isinstance(size, int) else 0 for size in value.shape)
        return PackTensor(value.name, names.get(element, element), shape)

    def bind(self, tensors: Sequence[PackTensor]) -> None:
        inputs = {value.name: self._tensor(value) for value in self._session.get_inputs()}
        for tensor in tensors:
            known = inputs.get(tensor.name)
            if known is not None and 0 in known.shape:
                known = PackTensor(known.name, known.dtype, tensor.shape)
            check_tensor(tensor, known, list(inputs))
        self._names = [tensor.name for tensor in tensors]

    def outputs(self) -> tuple[PackTensor, ...]:
        return tuple(self._tensor(value) for value in self._session.get_outputs())

    def invoke(self, arrays: Sequence[Array]) -> tuple[int, list[Array]]:
        feed = dict(zip(self._names, arrays, strict=True))
        start = time.perf_counter_ns()
        results = self._session.run(None, feed)
        return time.perf_counter_ns() - start, results


def cpu() -> dict[str, Any]:
    """Architecture, model name and features of this machine's processor, as the kernel tells."""
    about: dict[str, Any] = {"arch": platform.machine(), "cpu": None, "cpu_features": []}
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return about
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name" and about["cpu"] is None:
            about["cpu"] = value
        if key in ("flags", "Features"):
            known = ("avx", "fma", "f16c", "asimd", "sve", "sme", "i8mm", "bf16", "amx", "sse4")
            about["cpu_features"] = sorted(f for f in value.split() if f.startswith(known))
            break
    return about


def _ahead(source: IO[bytes], tensors: Sequence[PackTensor]) -> Iterator[PackSample]:
    """The samples of a pack, each read and checked while the one before it is being run."""
    waiting: queue.Queue[PackSample | int | PackError] = queue.Queue(maxsize=1)

    def read() -> None:
        found: PackSample | int | PackError | None = None
        while found is None or isinstance(found, PackSample):
            try:
                found = read_record(source, tensors)
            except PackError as error:
                found = error
            waiting.put(found)

    threading.Thread(target=read, daemon=True).start()
    while isinstance(record := waiting.get(), PackSample):
        yield record
    if isinstance(record, PackError):
        raise record


def _serve(engine: Engine, source: IO[bytes], results: IO[bytes], about: dict[str, Any]) -> None:
    header = read_header(source)
    engine.bind(header.tensors)
    results.write(encode_header(Header(about, engine.outputs())))
    results.flush()
    done = 0
    for record in _ahead(source, header.tensors):
        try:
            nanoseconds, arrays = engine.invoke(record.arrays)
            line = encode_record(record.index, arrays, nanoseconds=nanoseconds)
        except (RuntimeError, ValueError) as error:
            line = encode_record(record.index, status=Status.FAILED, message=str(error))
        results.write(line)
        results.flush()
        done += 1
    results.write(encode_done(done))


def _engine(args: argparse.Namespace) -> Engine:
    """The model in the runtime that was asked for. Raises `RefusalError`."""
    if args.runtime == "onnxruntime":
        return OnnxEngine(args.model, args.threads)
    if not args.source:
        return TfLiteEngine(args.model, args.runtime, args.kernels, args.threads)
    if args.runtime == "torch":
        from devdiff.device_runner.host.torch_engine import TorchEngine

        return TorchEngine(args.model, args.threads, args.trust)
    from devdiff.device_runner.host.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine(args.model, args.runtime, args.threads, args.signature, args.trust)


def _end_with_parent() -> None:
    """A model that never ends must not outlive a parent that was killed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have been killed before that.
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
        os._exit(1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="devdiff.device_runner.host.child")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--inputs", choices=["-"], required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--runtime", choices=[*_INTERPRETERS, *_SOURCES], required=True)
    parser.add_argument("--kernels", default="xnnpack")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", action="store_true")
    parser.add_argument("--signature")
    parser.add_argument("--trust", action="store_true")
    args = parser.parse_args()
    _end_with_parent()
    # Frameworks print to standard output; only the one JSON object may appear there.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    stage = "model"
    about: dict[str, Any] = {"protocol": PROTOCOL, "ok": True, **cpu()}
    try:
        engine = _engine(args)
        about |= engine.about()
        stage = "inputs"
        with args.results.open("wb") as results:
            _serve(engine, sys.stdin.buffer, results, about)
    except (RefusalError, PackError, ImportError) as error:
        about |= {"ok": False, "stage": stage, "error": str(error)}
    except OSError as error:
        about |= {"ok": False, "stage": "results", "error": f"{args.results}: {error.strerror}"}
    replies.write(json.dumps(about) + "\n")
    replies.flush()
    return 0 if about["ok"] else 4


if __name__ == "__main__":
    sys.exit(main())
