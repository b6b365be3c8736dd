"""How fast it is, and how much memory it takes, beside its peers: `python -m benchmarks`.

`workloads` (what is measured) → `streaming` and `serving` (how) → `engines` (by whom) → `files`
(of what). `rounds` runs them, `report` and `targets` say what came out.
"""
