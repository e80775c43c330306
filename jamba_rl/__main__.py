"""``python -m jamba_rl`` is the same as ``jamba-rl``."""

import sys

from jamba_rl.cli import main

if __name__ == "__main__":
    sys.exit(main())
