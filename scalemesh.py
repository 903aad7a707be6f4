"""Scale Mesh: ``python scalemesh.py`` serves; ``python scalemesh.py --help`` says what else it does."""

import sys

from scalemesh.cli import main

if __name__ == "__main__":
    sys.exit(main())
