"""The check of an app's package: whether the models in it are those that were tested."""

from devdiff.gate.package.check import PackageCheck, schema, verify_package
from devdiff.gate.package.libraries import PackagedLibrary
from devdiff.gate.package.models import PackagedModel
from devdiff.gate.package.remarks import Remark, Strictness
from devdiff.gate.package.tested import Tested, TestedModel, TestedRuntime

__all__ = [
    "PackageCheck",
    "PackagedLibrary",
    "PackagedModel",
    "Remark",
    "Strictness",
    "Tested",
    "TestedModel",
    "TestedRuntime",
    "schema",
    "verify_package",
]
