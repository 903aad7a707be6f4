"""Scale Mesh: ``python scalemesh.py`` serves; ``python scalemesh.py --help`` says what else it does."""

import sys

if __name__ == "__main__":
    try:
        from scalemesh.cli import main

        sys.exit(main())
    except KeyboardInterrupt:
        # Ctrl-C while the first import is still under way.
        sys.exit(130)
