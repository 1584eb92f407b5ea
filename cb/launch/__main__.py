"""Entry of `python -m cb.launch`."""

import sys

from cb.launch import main

if __name__ == "__main__":
    sys.exit(main())
