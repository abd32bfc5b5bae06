"""Code that is alike: snippets cut from files, an index of their embeddings, search in it."""
