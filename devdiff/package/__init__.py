"""The check of an app's package: whether the models in it are those that were tested."""

from devdiff.package.check import PackageCheck, schema, verify_package
from devdiff.package.libraries import PackagedLibrary
from devdiff.package.lint import Remark, Strictness
from devdiff.package.models import PackagedModel
from devdiff.package.tested_files import Refused, Tested, TestedModel, TestedRuntime

__all__ = [
    "PackageCheck",
    "PackagedLibrary",
    "PackagedModel",
    "Refused",
    "Remark",
    "Strictness",
    "Tested",
    "TestedModel",
    "TestedRuntime",
    "schema",
    "verify_package",
]
