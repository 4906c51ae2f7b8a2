"""python -m sardonyx."""

import sys

from sardonyx.cli import main

sys.exit(main())
