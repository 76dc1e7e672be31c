"""What the pipeline needs of the world, as Protocols; one file a port. Adapters live at the edge."""
