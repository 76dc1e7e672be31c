"""The Helm chart, rendered, validated and held against the product. `make chart` does it with helm."""
