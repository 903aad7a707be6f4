"""Scale Mesh: ``python scalemesh.py`` serves; ``python scalemesh.py --help`` says what else it does."""

import gc
import sys

if __name__ == "__main__":
    try:
        # Of what is imported nothing is garbage; looking for some takes a tenth of the time.
        gc.disable()
        from scalemesh.cli import main

        gc.freeze()
        gc.enable()
        sys.exit(main())
    except KeyboardInterrupt:
        # Ctrl-C while the first import is still under way.
        sys.exit(130)
