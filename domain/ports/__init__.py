"""What the pipeline needs of the outside world, as Protocols, one file per port. Adapters stand in other folders."""
