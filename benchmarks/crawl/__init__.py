"""What the crawl benchmark is made of: pictures, a server for them, the crawlers beside ours, and a stopwatch."""
