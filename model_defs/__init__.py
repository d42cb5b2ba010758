"""Floor 2: YAML ▶ network, image ▶ tensor, checkpoint bundles."""
