"""Floor 3: manifest ▶ trials ▶ result store ▶ champion."""
