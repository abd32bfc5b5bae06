"""How the demo checkpoint is trained; no part of the installed package."""
