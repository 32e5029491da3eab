"""Parts of `tools/mutation_test.py`: the faults that it inserts, and how it runs the tests on them."""
