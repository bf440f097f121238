"""How long work runs: threads, chunks, joblib's workers."""
