function batch(items, size) {
  const batches = [];
  let current = [];
  for (const item of items) {
    current.push(item);
    if (current.length === size) {
      batches.push(current);
      current = [];
    }
  }
  if (current.length > 0) {
    const small = current.length * 2 < size;
    if (small && batches.length > 0) {
      batches[0].push(...current);
    } else {
      batches.push(current);
    }
  }
  return batches;
}
