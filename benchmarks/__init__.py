"""Speed and quality side by side with the alternatives: python -m benchmarks."""
