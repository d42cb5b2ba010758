"""Floor 4: champion ▶ verdict and heatmaps for people."""
