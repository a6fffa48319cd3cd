"""`python -m coupling_fn`: the main job."""

import sys

from coupling_fn._command import main

if __name__ == "__main__":
    sys.exit(main())
