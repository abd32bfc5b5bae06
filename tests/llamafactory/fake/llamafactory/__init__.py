"""Stands in for LlamaFactory where a test is about workers, and not about models.

It prints on stdout as the real one does, has its template names and its engine's parts, and
answers at once. What it answers is told by the last message, see `chat.py`.
"""

print("[INFO|fake] this is a line on stdout", flush=True)
