"""The quiz that teaches people to do without the machine: pure logic; clock, chance and storage are handed in."""
