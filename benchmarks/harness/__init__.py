"""Parts of the benchmark: peers and their environments, jobs, arithmetic limits, tables."""
