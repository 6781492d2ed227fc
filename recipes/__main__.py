"""`python -m recipes VERB` is `mathcoder VERB`."""

import sys

from recipes.cli import main

if __name__ == "__main__":
    sys.exit(main())
