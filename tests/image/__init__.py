"""`make image`: builds the image on a real Docker engine, and runs orders through it. See deploy/image/README.md."""
