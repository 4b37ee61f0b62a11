"""A devdiff.toml: what it means, and what is said of one that is wrong."""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from devdiff.cli.groups import compression, gates, inputs, model, running
from devdiff.cli.main import parser
from devdiff.errors import UsageError
from devdiff.gate import config_file
from devdiff.gate.config import Config
from devdiff.options import Gates, ModelSpec, Rules, Running, ScanSettings
from devdiff.tasks.request import TaskRequest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/gate.md").read_text()


def written(folder: Path, text: str, name: str = "devdiff.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def loaded(folder: Path, text: str) -> Config:
    return Config.load(written(folder, text))


def test_every_key_reaches_the_request_and_paths_are_the_files_own(tmp_path: Path) -> None:
    config = loaded(
        tmp_path / "project",
        """
        [defaults]
        devices = "local"
        seed = 3
        gates = { min-agreement = 0.9, max-lsb = 2 }
        scan = { budget = 60, placebos = 1 }

        [models.reader]
        model = "models/reader.onnx"
        source = "a.onnx"
        float = "b.tflite"
        inputs = "samples.npz"
        labels = "labels.txt"
        classes = "classes.txt"
        calibration = "calibration.npz"
        preprocess = "scale=1/255"
        signature = "serve"
        trust = true
        task = "detection:format=yolo"
        truth = "coco.json"
        max-drop = 0.02
        shapes = { image = [1, 3, 8, 8] }
        compressions = ["int8", "prune:0.5+int8"]
        devices = ["virtual:cortex-a53", "emulator-5554"]
        host-runtimes = ["litert:builtin", "tflite-runtime"]
        runtime = "litert-lm"
        delegate = "none"
        threads = 2
        keep-going = true
        timeout = 30
        [models.reader.gates]
        atol = 1e-3
        rtol = { logits = 1e-2, "*" = 0.5 }
        min-agreement = 0.99
        min-snr = 20
        min-variation-snr = 12
        min-samples = 30
        exact = true
        classifiers = "logits"
        [models.reader.scan]
        samples = 40
        input = "image"
        output = "logits"
        output-kind = "classes"

        [baseline]
        file = "known.json"
        max-snr-loss = 2
        max-slowdown = 1.5
        allow-other-inputs = true
        """,
    )
    folder = (tmp_path / "project").resolve()
    cells = [cell for entry in config.entries for cell in entry.cells()]
    assert [cell.name for cell in cells] == [
        "reader/int8/virtual:cortex-a53",
        "reader/int8/emulator-5554",
        "reader/prune:0.5+int8/virtual:cortex-a53",
        "reader/prune:0.5+int8/emulator-5554",
    ]
    request = cells[-1].request
    assert request.model == ModelSpec(
        folder / "models/reader.onnx",
        source=folder / "a.onnx",
        floating=folder / "b.tflite",
        shapes={"image": (1, 3, 8, 8)},
        signature="serve",
        trust=True,
    )
    assert str(request.compression) == "prune:0.5+int8"
    assert (request.data.inputs, request.data.labels, request.data.calibration) == (
        folder / "samples.npz",
        folder / "labels.txt",
        folder / "calibration.npz",
    )
    assert request.data.classes == folder / "classes.txt"
    assert request.task == TaskRequest(
        "detection", {"format": "yolo"}, folder / "coco.json", max_drop=0.02
    )
    assert request.data.preprocess.scale == pytest.approx(1 / 255)
    assert request.data.seed == 3
    running = request.running
    assert (running.device, running.runtime, running.delegate) == (
        "emulator-5554",
        "litert-lm",
        "none",
    )
    assert running.host_runtimes == ("litert:builtin", "tflite-runtime")
    assert (running.threads, running.keep_going, running.timeout_s) == (2, True, 30.0)
    assert request.gates == Gates(
        atol=("0.001",),
        rtol=("logits:0.01", "0.5"),
        min_agreement=0.99,
        min_snr_db=20,
        min_variation_snr_db=12,
        min_samples=30,
        max_lsb=2,
        exact=True,
        classifiers=("logits",),
    )
    assert request.scan == ScanSettings(40, 60.0, 1, 3, "image", "logits", "classes")
    assert config.baseline == folder / "known.json"
    assert config.rules == Rules(2, 1.5, other_inputs=True)


def test_a_model_alone_is_tested_as_the_command_does_it_without_options(tmp_path: Path) -> None:
    (entry,) = loaded(tmp_path, '[models.reader]\nmodel = "reader.onnx"').entries
    (cell,) = entry.cells()
    command = parser().parse_args(["export-and-test", "reader.onnx"])
    assert cell.name == "reader/int8/default"
    assert cell.request.running == running.of(command) == Running()
    assert cell.request.compression is compression.only(command) is None
    assert cell.request.gates == gates.of(command) == Gates()
    assert cell.request.data == inputs.of(command)
    assert cell.request.model == replace(model.of(command), path=cell.request.model.path)
    assert cell.request.scan is None


def test_a_finished_model_is_not_compressed_again(tmp_path: Path) -> None:
    (entry,) = loaded(tmp_path, '[models.reader]\nmodel = "reader.tflite"').entries
    assert [cell.name for cell in entry.cells()] == ["reader/as it is/default"]


def test_only_what_the_host_runs_alike_is_shared(tmp_path: Path) -> None:
    """Without XNNPACK on the device the host runs builtin kernels, but none for no device."""
    text = '[models.a]\nmodel = "a.onnx"\ndevices = ["local", "virtual", "none"]\n'
    cells = [*loaded(tmp_path, text).entries[0].cells()]
    assert len({cell.on_the_host for cell in cells}) == 1
    cells = [*loaded(tmp_path, text + 'delegate = "none"').entries[0].cells()]
    assert [cell.on_the_host == cells[0].on_the_host for cell in cells] == [True, True, False]


def test_every_recipe_stands_behind_every_pruning(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"precision": "int16x8"}')
    config = loaded(
        tmp_path,
        """
        [models.a]
        model = "x"
        compressions = ["prune:0.2", "prune:0.5"]
        recipes = ["float16", "mine.json"]
        """,
    )
    cells = [cell for entry in config.entries for cell in entry.cells()]
    assert [cell.compression for cell in cells] == [
        f"prune:{rate}+{recipe}" for rate in (0.2, 0.5) for recipe in ("float16", "mine")
    ]


def test_a_function_of_a_loader_is_not_looked_for_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    (tmp_path / "loader.py").touch()
    written(tmp_path, '[models.a]\nmodel = "x"\ninputs = "loader.py:batches"')
    assert Config.load(tmp_path / "devdiff.toml").chosen(())
    written(tmp_path, '[models.a]\nmodel = "x"\ninputs = "other.py:batches"')
    with pytest.raises(UsageError, match=r"inputs: \S+other\.py does not exist"):
        Config.load(tmp_path / "devdiff.toml").chosen(())


@pytest.mark.parametrize(
    ("defaults", "own", "scans"),
    [
        ("true", "", True),
        ("true", "scan = false", False),
        ("{ budget = 9 }", "scan = true", True),
        ("false", "scan = { samples = 8 }", True),
        ("false", "", False),
    ],
)
def test_a_model_may_scan_where_others_do_not(
    tmp_path: Path, defaults: str, own: str, scans: bool
) -> None:
    text = f'[defaults]\nscan = {defaults}\n[models.a]\nmodel = "a.onnx"\n{own}'
    (entry,) = loaded(tmp_path, text).entries
    assert (entry.scan is not None) is scans


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[models.a]\nmdel = "x"', "[models.a] there is no key 'mdel': do you mean model?"),
        ('[models.a]\nmodel = "x"\ngates = { min_agreement = 1 }', "do you mean min-agreement?"),
        ('[models.a]\nmodel = "x"\n[models.a.scan]\nbudgt = 1', "[models.a.scan] there is no key"),
        ('[defaults]\ndevice = "x"\n[models.a]\nmodel = "x"', "do you mean devices?"),
        ('[defaults]\nqqq = 1\n[models.a]\nmodel = "x"', "there is no key 'qqq'; there are inputs"),
        ('[model.a]\nmodel = "x"', "there is no key 'model': do you mean models?"),
        ("", "models is missing: a table for each model"),
        ("[models.a]\nthreads = 2", "[models.a] model is missing: the model to test"),
        (
            '[models.a]\nmodel = "x"\nthreads = "two"',
            '[models.a] threads = "two" does not fit: threads the model runs with, a whole number '
            "from 1 up; for example threads = 2",
        ),
        ('[models.a]\nmodel = "x"\nthreads = 2.0', "threads = 2.0 does not fit"),
        ('[models.a]\nmodel = "x"\nseed = true', "seed = true does not fit"),
        ('[models.a]\nmodel = "x"\ntimeout = nan', "timeout = NaN does not fit"),
        ('[models.a]\nmodel = "x"\ndevices = ["a", 3]', '[models.a] devices = ["a", 3] does not'),
        ('[models.a]\nmodel = "x"\nscan = "yes"', '[models.a] scan = "yes" does not fit'),
        ('[models.a]\nmodel = "x"\ndelegate = "cpu"', "xnnpack, none, gpu or nnapi"),
        ('[models.a]\nmodel = "x"\ngates.atol = { y = "a" }', 'atol = { y = "a" } does not fit'),
        ('[models.a]\nmodel = "x"\nshapes = { i = [1, 0] }', "shapes = { i = [1, 0] } does not"),
        ('[models."a/b"]\nmodel = "x"', "'a/b' is no name for a model"),
        ("models = 3", "models = 3 does not fit"),
        ('[models.a]\nmodel = "x"\ncompressions = "int4"', "compressions: --compress int4: no "),
        ('[models.a]\nmodel = "x"\nrecipes = "int4"', "recipes: --recipe "),
        (
            '[models.a]\nmodel = "x"\ncompressions = "int8"\nrecipes = "float16"',
            "[models.a] recipes: --compress int8 says how weights are quantized",
        ),
        ('[models.a]\nmodel = "x"\ntask = "telling"', "task: --task telling: there is no such"),
        ('[models.a]\nmodel = "x"\ntruth = "y"', "[models.a] task: --truth needs --task"),
        ('[models.a]\nmodel = "x"\npreprocess = "scal=1"', "'scal=1' is not a step"),
        ('[models.a]\nmodel = "x"\nhost-runtimes = "onnx"', "no host runtime 'onnx'"),
        ('[baseline]\nfil = "x"\n[models.a]\nmodel = "x"', "[baseline] there is no key 'fil'"),
        ("[models.a", "is not TOML"),
        ('[models.a]\nmodel = "x"\nthreads = 0\nseed = -1', "; 1 more like it"),
    ],
)
def test_what_is_wrong_is_named_with_file_table_and_key(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "devdiff.toml"))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_are_named_before_anything_runs(tmp_path: Path) -> None:
    text = '[models.a]\nmodel = "a.onnx"\ninputs = "s.npz"\n[models.b]\nmodel = "b.onnx"'
    config = loaded(tmp_path, text)
    (tmp_path / "b.onnx").touch()
    with pytest.raises(UsageError) as caught:
        config.chosen([])
    folder = tmp_path.resolve()
    assert f"[models.a] model: {folder / 'a.onnx'} does not exist" in str(caught.value)
    assert f"[models.a] inputs: {folder / 's.npz'} does not exist" in str(caught.value)
    (chosen,) = config.chosen(["b"], ["local", "none", "local"])
    assert [cell.name for cell in chosen.cells()] == ["b/int8/local", "b/int8/none"]
    with pytest.raises(UsageError, match="has no model 'c'; it has a, b"):
        config.chosen(["c"])


def test_the_nearest_configuration_above_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "project/tests/deep"
    deep.mkdir(parents=True)
    outer = written(tmp_path, '[models.a]\nmodel = "a.onnx"')
    written(tmp_path / "project", "[tool.other]\nx = 1", "pyproject.toml")
    assert config_file.find(deep) == outer.resolve()
    section = '[tool.devdiff.models.b]\nmodel = "b.onnx"'
    project = written(tmp_path / "project", section, "pyproject.toml")
    assert config_file.find(deep) == project.resolve()
    assert Config.load(project).entries[0].name == "b"
    own = written(tmp_path / "project", '[models.c]\nmodel = "c.onnx"')
    assert config_file.find(deep) == own.resolve()


def test_no_configuration_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="devdiff check --init writes one"):
        config_file.find(tmp_path)
    with pytest.raises(UsageError, match="there is no such file"):
        config_file.read(tmp_path / "other.toml")
    project = written(tmp_path, "[tool.other]\nx = 1", "pyproject.toml")
    with pytest.raises(UsageError, match=r"has no \[tool\.devdiff\] table"):
        config_file.read(project)


def test_the_starter_parses_with_every_comment_taken_at_its_word(tmp_path: Path) -> None:
    starter = importlib.resources.files("devdiff.gate").joinpath("starter.toml").read_text()
    assert loaded(tmp_path, starter).entries[0].name == "model"
    uncommented: list[str] = []
    for line in starter.splitlines():
        bare = line.removeprefix("# ")
        key = bare.partition(" = ")[0]
        if line.startswith("# [") or (line.startswith("# ") and " = " in bare):
            # The second of two alternatives replaces the first.
            uncommented = [one for one in uncommented if one.partition(" = ")[0] != key]
        uncommented.append(bare if line.startswith("# [") or " = " in bare else line)
    entry = loaded(tmp_path, "\n".join(uncommented)).entries[0]
    assert (entry.devices, len(entry.compressions)) == (("virtual", "emulator-5554"), 2)
    assert entry.gates.min_agreement == 0.98
    assert entry.scan is not None


@pytest.mark.slow
def test_the_schema_is_one_and_its_examples_are_what_it_asks_for() -> None:
    schema = config_file.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    told = 0
    for place in (schema, *schema["$defs"].values()):
        for key, entry in place["properties"].items():
            resolved = (
                schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry
            )
            assert resolved["description"], key
            for example in resolved["examples"]:
                jsonschema.validate(example, {**resolved, "$defs": schema["$defs"]})
                told += 1
    assert told >= 40


def test_every_key_of_the_schema_is_read_and_told_of() -> None:
    """What the schema allows and nothing reads would be ignored without a word."""
    code = "".join(
        (ROOT / "devdiff/gate" / name).read_text() for name in ("config.py", "config_file.py")
    )
    schema = config_file.schema()
    for place in (schema, *schema["$defs"].values()):
        for key in place["properties"]:
            assert f'"{key}"' in code, key
            assert f"`{key}`" in GUIDE or f"[{key}" in GUIDE or f"--{key}" in GUIDE, key


def test_the_shipped_example_is_whole() -> None:
    config = Config.load(ROOT / "examples/digits/devdiff.toml")
    cells = [cell.name for entry in config.chosen([]) for cell in entry.cells()]
    assert cells == ["digits/int8/local", "digits/prune:0.2+int8/local"]


def test_documented_configurations_are_right(tmp_path: Path) -> None:
    blocks = [part.partition("```")[0] for part in GUIDE.split("```toml\n")[1:]]
    assert len(blocks) >= 2
    for number, block in enumerate(blocks):
        name = "pyproject.toml" if "[tool.devdiff" in block else "devdiff.toml"
        assert tomllib.loads(block)
        Config.load(written(tmp_path / str(number), block, name))
