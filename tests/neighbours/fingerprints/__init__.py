"""The libraries that compute other fingerprints for our schemas are asked whether `schemas/variants.py` holds."""
