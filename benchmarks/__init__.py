"""How fast it is, as ratios taken in one run: ``python -m benchmarks.<figure>``.

Each figure is one file, prints a table and writes ``benchmarks/results/<figure>.json``; ``--toy``
tries it in seconds with a narrow network, and its numbers mean nothing. docs/performance.md says
what each figure means and how long it takes.
"""
