"""Speed with a number: `make bench`, `make bench ARGS="drain --rounds 5"`, `make bench ARGS="--json"`."""
