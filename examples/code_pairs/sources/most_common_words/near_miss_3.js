function mostCommonWords(text, limit) {
  const counts = new Map();
  for (const word of text.toLowerCase().match(/[a-z]+/g) || []) {
    counts.set(word, (counts.get(word) || 0) + 1);
  }
  return [...counts.entries()]
    .sort(([a, n], [b, m]) => m - n || (a < b ? 1 : -1))
    .slice(0, limit);
}
