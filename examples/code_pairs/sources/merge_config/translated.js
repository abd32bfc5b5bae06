function mergeConfig(base, override) {
  const isTable = (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  return Object.entries(override).reduce(
    (merged, [key, value]) => {
      if (value === null) {
        delete merged[key];
      } else {
        const both = isTable(value) && isTable(merged[key]);
        merged[key] = both ? mergeConfig(merged[key], value) : value;
      }
      return merged;
    },
    { ...base },
  );
}
