"""What it takes to run the project elsewhere: images, units, manifests, and the little programs that they call."""
