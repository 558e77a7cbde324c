"""``python -m pyqs`` is the command ``pyqs``."""

from .main import main

if __name__ == "__main__":
    main()
