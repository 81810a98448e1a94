"""`python -m ciml`."""

import sys

from ciml.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
