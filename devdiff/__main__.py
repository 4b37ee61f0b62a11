"""``python -m devdiff``: the same as the ``devdiff`` command."""

import sys

from devdiff.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
