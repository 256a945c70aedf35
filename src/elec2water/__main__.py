"""``python -m elec2water``: the commands where the folder of console scripts is not on the path (Windows)."""

from elec2water.cli import main

if __name__ == "__main__":
    main()
