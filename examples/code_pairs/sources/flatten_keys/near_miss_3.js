function flattenKeys(tree, prefix = []) {
  return Object.entries(tree).reduce((flat, [key, value]) => {
    const path = [...prefix.slice(0, 1), key];
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      return { ...flat, ...flattenKeys(value, path) };
    }
    return { ...flat, [path.join(".")]: value };
  }, {});
}
