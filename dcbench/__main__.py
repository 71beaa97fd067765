"""`python -m dcbench`."""

from dcbench_vision import main

if __name__ == "__main__":
    main()
