"""`python -m supervisor_d` is the console script under another name."""

from supervisor_d.cli import main

if __name__ == "__main__":
    main()
