"""Floor 2: images and their provenance ▶ object store + manifest."""
