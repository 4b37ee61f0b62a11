"""``report.json`` and its kin as frozen structs: what every format is made from.

What a struct of another room says already is taken as it is: a comparison is
`devdiff.comparison.PairComparison`, a manifest `devdiff.exporter.manifest.Manifest`. The JSON
Schemas beside `devdiff.report` are generated from here by ``scripts/schemas``.
"""

from devdiff.report.model.bisect import BisectSection
from devdiff.report.model.places import FileRecord, Identity, InputsRecord
from devdiff.report.model.run import (
    SCHEMA_VERSION,
    Attribution,
    BasisRecord,
    ClassNames,
    ModelRecord,
    Options,
    PairingRecord,
    PairRecord,
    Report,
    RungRecord,
    SampleRecord,
)
from devdiff.report.model.scan import ScanSection
from devdiff.report.model.task import DataCheckSection, EstimateRecord, TaskSection

__all__ = [
    "SCHEMA_VERSION",
    "Attribution",
    "BasisRecord",
    "BisectSection",
    "ClassNames",
    "DataCheckSection",
    "EstimateRecord",
    "FileRecord",
    "Identity",
    "InputsRecord",
    "ModelRecord",
    "Options",
    "PairRecord",
    "PairingRecord",
    "Report",
    "RungRecord",
    "SampleRecord",
    "ScanSection",
    "TaskSection",
]
