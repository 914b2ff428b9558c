"""How knowledge is found again for a session: embedder, vector index, demonstrations."""
