function camelToSnake(name) {
  const isUpper = (c) => c >= "A" && c <= "Z";
  const isLower = (c) => c >= "a" && c <= "z";
  let out = "";
  for (let i = 0; i < name.length; i++) {
    const c = name[i];
    if (isUpper(c) && i > 0) {
      const prev = name[i - 1];
      const next = name[i + 1] || "";
      if (isLower(prev) || /\d/.test(prev)) {
        out += "_";
      }
    }
    out += c.toLowerCase();
  }
  return out;
}
