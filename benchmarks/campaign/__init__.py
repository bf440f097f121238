"""Is any number silently wrong? Random models in tension against many starts; see ../README.md."""
