"""`python -m lcmap` is `lcmap`."""

from lcmap.cli import main

if __name__ == "__main__":
    main()
