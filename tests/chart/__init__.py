"""The Helm chart: rendered, validated, and held against the product. `make chart` runs it with helm; see deploy/KUBERNETES.md."""
